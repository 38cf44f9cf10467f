import Enforce
import Foundation
import LinuxSystem
import Profile
import Testing

/// Something like an agent: a Python process in a mount namespace of its own, whose root shows the given folders at
/// their own paths. It does what the test tells it, one line of Python at a time, and dies with the test.
final class SandboxedPython {
    struct Mount {
        var path: String
        var readOnly = false
    }

    private let process = Process()
    /// A socket, so that descriptors can come back.
    private let input: FileHandle
    private let output = Pipe()
    var pid: Int32 { process.processIdentifier }

    private static let script = #"""
        import ctypes, errno, os, signal, socket, stat, struct, sys, threading, time, json
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(1, signal.SIGKILL)
        MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
        def check(result):
            if result != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        def mount(source, target, kind, flags):
            check(libc.mount(source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), None))
        base, mounts = sys.argv[1], [m.split("|") for m in sys.argv[2:]]
        check(libc.unshare(0x20000))
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        os.mkdir(base)
        mount("none", base, "tmpfs", 0)
        for path, mode in mounts:
            os.makedirs(base + path, exist_ok=True)
            mount(path, base + path, None, MS_BIND)
            if mode == "ro":
                mount("none", base + path, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
        for link in ("bin", "lib", "lib64"):
            if os.path.islink("/" + link):
                os.symlink("usr/" + link, base + "/" + link)
        os.mkdir(base + "/proc")
        mount("/proc", base + "/proc", None, MS_BIND | MS_REC)
        os.mkdir(base + "/.old")
        os.chdir(base)
        check(libc.syscall(155, b".", b".old") if os.uname().machine == "x86_64" else libc.syscall(41, b".", b".old"))
        os.chdir("/")
        check(libc.umount2(b"/.old", 2))
        os.rmdir("/.old")
        if os.environ.get("OWN_PIDS"):
            check(libc.unshare(0x20000000))
            child = os.fork()
            if child:
                os.close(0)
                os.close(1)
                os._exit(os.waitpid(child, 0)[1] != 0)
            libc.prctl(1, signal.SIGKILL)
        def read(path):
            with open(path, "rb", buffering=0) as f:
                return f.read().decode("latin-1")
        def write(path, text="new", mode="wb"):
            with open(path, mode, buffering=0) as f:
                f.write(text.encode("latin-1"))
        def spawn(*words):
            pid = os.fork()
            if pid == 0:
                try:
                    os.execv(words[0], words)
                except OSError as error:
                    os._exit(error.errno)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        def send_descriptor(fd):
            socket.send_fds(socket.socket(fileno=os.dup(0)), [b"x"], [fd])
        def notify(*numbers):
            """A filter that hands these system calls to a listener, whose descriptor is sent."""
            code = [(0x20, 0, 0, 0)]
            for i, number in enumerate(numbers):
                code.append((0x15, len(numbers) - i, 0, number))
            code += [(6, 0, 0, 0x7fff0000), (6, 0, 0, 0x7fc00000)]
            program = b"".join(struct.pack("HBBI", *one) for one in code)
            text = ctypes.create_string_buffer(program)
            head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(text)))
            libc.prctl(38, 1, 0, 0, 0)
            fd = libc.syscall(317 if os.uname().machine == "x86_64" else 277, 1, 8, head)
            check(min(0, fd))
            send_descriptor(fd)
            os.close(fd)
        print("ready", flush=True)
        scope = globals()
        for line in sys.stdin:
            try:
                code = json.loads(line)
                try:
                    value = eval(compile(code, "told", "eval"), scope)
                except SyntaxError:
                    exec(compile(code, "told", "exec"), scope)
                    value = scope.pop("result", None)
                answer = "None" if value is None else str(value)
            except OSError as error:
                answer = errno.errorcode.get(error.errno, str(error))
            except BaseException as error:
                answer = "error: " + repr(error)
            print(json.dumps(answer), flush=True)
        """#

    /// Throws when the set-up failed.
    init(base: String, mounts: [Mount], ownPids: Bool = false) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments =
            ["-c", Self.script, base] + mounts.map { "\($0.path)|\($0.readOnly ? "ro" : "rw")" }
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
            throw Failure(said: "no socket")
        }
        input = FileHandle(fileDescriptor: pair[0], closeOnDealloc: true)
        process.standardInput = FileHandle(fileDescriptor: pair[1], closeOnDealloc: true)
        process.standardOutput = output
        process.environment = ownPids ? ["OWN_PIDS": "1"] : [:]
        try process.run()
        let first = nextLine()
        guard first == "ready" else { throw Failure(said: first) }
    }

    struct Failure: Error { var said: String }

    deinit {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Runs a line of Python inside: an expression's value, "None", or the name of the errno it failed with.
    @discardableResult
    func run(_ code: String) -> String {
        let line = try! JSONEncoder().encode(code) + Data("\n".utf8)
        input.write(line)
        let answer = nextLine()
        return (try? JSONDecoder().decode(String.self, from: Data(answer.utf8))) ?? answer
    }

    /// The descriptor sent by `send_descriptor(fd)` inside.
    func receiveDescriptor() throws -> FileDescriptor {
        var byte: UInt8 = 0
        var number: Int32 = -1
        _ = clinux_receive_descriptor(input.fileDescriptor, &byte, 1, &number)
        guard number >= 0 else { throw Failure(said: "no descriptor") }
        return FileDescriptor(owning: number)
    }

    private var pending = Data()

    private func nextLine() -> String {
        while true {
            if let end = pending.firstIndex(of: 0x0a) {
                let line = pending[pending.startIndex..<end]
                pending = Data(pending[(end + 1)...])
                return String(decoding: line, as: UTF8.self)
            }
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { return "gone" }
            pending.append(more)
        }
    }
}

/// Removed with all it holds when the test is over.
final class TemporaryFolder {
    let path: String

    init(_ parent: String = "/tmp") {
        path = "\(parent)/mis-enforce-\(UUID().uuidString.prefix(8))"
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Failures are let pass here and below: what is made may be taken away in the same moment.
    @discardableResult
    func folder(_ name: String) -> String {
        try? FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
        return "\(path)/\(name)"
    }

    @discardableResult
    func file(_ name: String, _ text: String = "text") -> String {
        folder((name as NSString).deletingLastPathComponent)
        let whole = "\(path)/\(name)"
        try? text.write(toFile: whole, atomically: false, encoding: .utf8)
        return whole
    }

    func exists(_ name: String) -> Bool {
        var status = stat()
        return lstat("\(path)/\(name)", &status) == 0
    }

    func text(_ name: String) -> String? { try? String(contentsOfFile: "\(path)/\(name)", encoding: .utf8) }
}

/// What was reported, safely across threads.
final class Reports: ViolationSink, @unchecked Sendable {
    private let lock = NSLock()
    private var found: [Violation] = []
    private var traces: [String] = []
    private var allows: [String] = []
    private var losses: [String] = []

    var violations: [Violation] { lock.withLock { found } }
    var traced: [String] { lock.withLock { traces } }
    var allowed: [String] { lock.withLock { allows } }
    var lost: [String] { lock.withLock { losses } }

    func violation(_ violation: Violation) { lock.withLock { found.append(violation) } }

    func traced(operation: String, object: [UInt8], pid: Int32) {
        lock.withLock { traces.append("\(operation) \(String(decoding: object, as: UTF8.self))") }
    }

    func observed(operation: String, object: [UInt8], pid: Int32) {
        lock.withLock { allows.append("\(operation) \(String(decoding: object, as: UTF8.self))") }
    }

    func enforcementLost(_ reason: String) { lock.withLock { losses.append(reason) } }

    /// The first report about an object: it comes after the refusal itself.
    func first(_ object: String) throws -> Violation {
        _ = eventually { !about(object).isEmpty }
        return try #require(about(object).first)
    }

    func about(_ object: String) -> [Violation] { violations.filter { $0.object == Array(object.utf8) } }
}

/// A thread that polls descriptors and calls their handlers, as the supervisor's does.
final class Loop: @unchecked Sendable {
    private var isOver = false
    private var turns = 0
    private let lock = NSLock()
    private let ended = DispatchSemaphore(value: 0)

    /// `interval`: milliseconds after which `tick` runs when nothing else happens.
    init(_ handlers: [(descriptor: Int32, handle: () -> Void)], interval: Int32 = 20, tick: @escaping () -> Void = {}) {
        nonisolated(unsafe) let handlers = handlers
        nonisolated(unsafe) let tick = tick
        let thread = Thread { [self] in
            while !lock.withLock({ isOver }) {
                var polls = handlers.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
                _ = poll(&polls, nfds_t(polls.count), interval)
                for (index, entry) in polls.enumerated() where entry.revents != 0 { handlers[index].handle() }
                tick()
                lock.withLock { turns += 1 }
            }
            ended.signal()
        }
        thread.start()
    }

    func stop() {
        lock.withLock { isOver = true }
        ended.wait()
    }

    /// Waits until all is done that belongs to what has been answered: the turn in which it was is over.
    func finishTurn() {
        let before = lock.withLock { turns }
        while lock.withLock({ turns == before }) { usleep(1000) }
    }
}

func rule(_ access: PathRule.Access, _ text: String) -> PathRule {
    let pattern: PathPattern =
        text.hasPrefix("**/") ? .suffix(text.dropFirst(3).split(separator: "/").map(String.init)) : .path(text)
    return PathRule(
        access: access, pattern: pattern, text: text, origin: .file(name: "test.toml", line: 1, column: 1))
}

func identity(of path: String) throws -> ObjectIdentity { try FileStatus(of: path).identity }

/// Waits until `condition` holds, at most `seconds`.
func eventually(_ seconds: Double = 5, _ condition: () -> Bool) -> Bool {
    let end = Date().addingTimeInterval(seconds)
    while Date() < end {
        if condition() { return true }
        usleep(2000)
    }
    return condition()
}
