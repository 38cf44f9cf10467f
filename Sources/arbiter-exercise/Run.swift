import Arbiter
import CBpf
import LinuxSystem

private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": result += "\\\(scalar)"
        case _ where scalar.value < 0x20 || scalar.value == 0x7f:
            let hex = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}

private func line(_ event: borrowing ArbiterEvent) -> String {
    """
    {"operation":\(quoted(event.operationName)),"verdict":\(quoted("\(event.verdict)")),"path":\(quoted(event.path)),\
    "wanted":\(event.wanted.rawValue),"rights":\(event.granted.rawValue),"rule":\(event.rule),"pid":\(event.pid),\
    "tid":\(event.tid),"parent":\(event.parent),"uid":\(event.uid),"command":\(quoted(event.command)),\
    "repeats":\(event.repeats),"detail":\(event.detail),"port":\(event.port),"inode":\(event.inode),\
    "device":\(event.device),"session":\(event.session),"level":\(event.level),\
    "layer":\(event.layer),"kind":\(event.keyKind),"key":\(quoted(Threat.hex(event.key.low, event.key.high)))}\n
    """
}

/// The shell joins the cgroup before it becomes the command: its own start is not judged, the command's is.
private let join = "echo 0 >\"$0/cgroup.procs\" && exec \"$@\""

private func start(_ command: [String], in cgroup: String) throws -> pid_t {
    var pid: pid_t = 0
    var strings: [UnsafeMutablePointer<CChar>?] = unsafe []
    for word in ["/bin/sh", "-c", join, cgroup] + command { unsafe strings.append(strdup(word)) }
    unsafe strings.append(nil)
    defer { while let string = unsafe strings.popLast() { unsafe free(string) } }
    let result = unsafe posix_spawn(&pid, "/bin/sh", nil, nil, strings, environ)
    if result != 0 { throw Trouble("starting /bin/sh: \(Errno(result))") }
    return pid
}

func run(_ given: Options, _ command: [String]) throws -> Int32 {
    guard !command.isEmpty else { throw Trouble("a command is wanted after --") }
    var options = given
    try options.open()
    try options.openMany()
    let arbiter = try options.arbiter()
    let cgroup = "/sys/fs/cgroup/exercise-\(getpid())"
    try kernel { unsafe mkdir(cgroup, 0o755) }
    defer { unsafe rmdir(cgroup) }
    let number = try FileStatus(of: cgroup).identity.inode
    let others = try Crowd(options.extra, arbiter: arbiter, policy: options.policy)
    defer { others.leave(arbiter) }
    let sandbox = try arbiter.register(cgroup: number, session: UInt64(getpid()), policy: options.policy)
    if let threat = options.threat { try Threat(reading: threat).put(in: arbiter, for: sandbox) }
    let turns = try options.turns.map { try Threat(reading: $0) }
    var taken = 0
    var output: FileDescriptor?
    if let path = options.events {
        output = try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
    }
    let pid = try start(command, in: cgroup)
    var received = (alerts: 0, traces: 0)
    func drain() {
        let file = output?.number ?? -1
        func tell(_ event: borrowing ArbiterEvent) {
            guard file >= 0 else { return }
            let bytes = Array(line(event).utf8)
            _ = unsafe bytes.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
        }
        received.alerts += sandbox.alerts.drain(tell)
        received.traces += sandbox.traces.drain(tell)
    }
    var status: Int32 = 0
    var checked = Clock.monotonic()
    while true {
        let done = unsafe waitpid(pid, &status, WNOHANG)
        if done == pid { break }
        var polled = [
            pollfd(fd: sandbox.alerts.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: sandbox.traces.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        _ = unsafe poll(&polled, 2, turns.isEmpty ? 20 : 0)
        drain()
        if !turns.isEmpty {
            try turns[taken % turns.count].put(in: arbiter, for: sandbox)
            taken += 1
        }
        options.changes.removeAll { change in
            guard unsafe access(change.file, F_OK) == 0 else { return false }
            do { try change.make(arbiter, sandbox) } catch {
                try? FileDescriptor(owning: 2).writeAll("arbiter-exercise: \(error)\n".utf8)
            }
            // Told inside: what happens from now on happens under the new rules.
            return unsafe unlink(change.file) == 0
        }
        guard Clock.monotonic() - checked > 500_000_000 else { continue }
        checked = Clock.monotonic()
        let lost = arbiter.lost()
        if !lost.isEmpty {
            try? FileDescriptor(owning: 2).writeAll(
                "arbiter-exercise: enforcement lost: \(lost.joined(separator: " "))\n".utf8)
            try? writeText("1", to: "\(cgroup)/cgroup.kill")
            _ = unsafe waitpid(pid, &status, 0)
            return 123
        }
    }
    try? writeText("1", to: "\(cgroup)/cgroup.kill")
    // What is left over dies guarded: the entries go after the last task.
    for _ in 0..<1000 {
        guard let text = try? readText("\(cgroup)/cgroup.events"), text.contains("populated 1") else { break }
        usleep(10_000)
    }
    drain()
    if !turns.isEmpty { try? FileDescriptor(owning: 2).writeAll("\(taken) policies took turns\n".utf8) }
    if options.counters {
        let sum = arbiter.counters(of: sandbox)
        print(
            """
            {"allowed":\(sum.allowed),"denied":\(sum.denied),"traced":\(sum.traced),"hits":\(sum.cacheHits),\
            "folder_hits":\(sum.folderHits),"misses":\(sum.cacheMisses),"uncached":\(sum.uncached),\
            "alerts_sent":\(sum.alertsSent),"alerts_lost":\(sum.alertsLost),\
            "traces_sent":\(sum.tracesSent),"traces_lost":\(sum.tracesLost),\
            "repeats":\(sum.repeats),"failed_closed":\(sum.failedClosed),"alerts_received":\(received.alerts),\
            "traces_received":\(received.traces),"threats":\(sum.threats),"unhashed":\(sum.unhashed)}
            """)
    }
    try arbiter.unregister(sandbox)
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
}

/// Sandboxes that are registered and do nothing, to see what a crowd costs.
final class Crowd {
    private var members: [UInt32] = []
    private var folders: [String] = []
    private let keep: Keep

    final class Keep {
        var sandboxes: [Box] = []
        final class Box {
            let sandbox: RegisteredSandbox
            init(_ sandbox: consuming RegisteredSandbox) { self.sandbox = sandbox }
        }
    }

    init(_ count: Int, arbiter: borrowing Arbiter, policy: SandboxPolicy) throws {
        keep = Keep()
        for index in 0..<count {
            let folder = "/sys/fs/cgroup/crowd-\(getpid())-\(index)"
            try kernel { unsafe mkdir(folder, 0o755) }
            folders.append(folder)
            let number = try FileStatus(of: folder).identity.inode
            keep.sandboxes.append(
                Keep.Box(try arbiter.register(cgroup: number, session: UInt64(index), policy: policy)))
        }
    }

    func leave(_ arbiter: borrowing Arbiter) {
        for box in keep.sandboxes { try? arbiter.unregister(box.sandbox) }
        for folder in folders { _ = unsafe rmdir(folder) }
    }
}
