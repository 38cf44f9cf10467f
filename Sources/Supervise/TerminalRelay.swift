import LinuxSystem

/// Carries bytes between the caller's terminal and the agent's, with bounded memory: a side that does not read stops
/// the side that writes.
final class TerminalRelay {
    private let loop: EventLoop
    private let terminal: Terminal
    private let controller: FileDescriptor
    private var typed: [UInt8] = []
    private var shown: [UInt8] = []
    private var buffer = [UInt8](repeating: 0, count: 16384)
    private let output: Int32
    private var inputEnded = false
    /// Runs while keys cannot reach the agent because the terminal is somebody else's.
    private lazy var look = loop.timer { [unowned self] in if terminal.isForeground { resume() } }
    /// The controller side answers EIO when nothing has the other side open any more.
    private(set) var isFinished = false

    /// - Parameter terminals: which of 0, 1, 2 are terminals.
    init(loop: EventLoop, terminal: Terminal, controller: consuming FileDescriptor, terminals: [Bool]) {
        self.loop = loop
        self.terminal = terminal
        self.controller = controller
        output = terminals[1] ? 1 : terminals[2] ? 2 : 0
        _ = clinux_set_nonblocking(self.controller.number)
        terminal.dress(self.controller.number)
        terminal.enterRawMode()
        terminal.shareOutputProcessing(with: self.controller.number)
        watch()
    }

    func resize() { terminal.copySize(to: controller.number) }

    func suspend() {
        loop.forget(0)
        terminal.restore()
        terminal.shareOutputProcessing(with: controller.number)
    }

    func resume() {
        terminal.enterRawMode()
        terminal.shareOutputProcessing(with: controller.number)
        resize()
        watch()
    }

    /// Most shells bring a job that runs to the foreground without a word to it, and the kernel tells no change of a terminal's
    /// foreground: in the background it is looked for.
    private func awaitForeground() {
        // By what the terminal is, not by whose it is: it may have become ours since it was left as it was.
        guard terminal.waitsForForeground, !isFinished else { return look.stop() }
        if look.isRunning { return }
        look.start(after: Self.lookMilliseconds, every: Self.lookMilliseconds)
    }

    private static let lookMilliseconds = 200

    private func watch() {
        awaitForeground()
        var events: UInt32 = shown.isEmpty ? EventLoop.readable : 0
        if !typed.isEmpty { events |= EventLoop.writable }
        loop.watch(controller.number, for: events) { [unowned self] events in serveController(events) }
        if terminal.isRaw && typed.isEmpty && !inputEnded {
            loop.watch(0) { [unowned self] _ in readInput() }
        } else {
            loop.forget(0)
        }
    }

    private func readInput() {
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(0, $0.baseAddress, 4096) }
        if count > 0 {
            typed.append(contentsOf: buffer[..<count])
            writeTyped()
        } else if count == 0 || errno != EAGAIN && errno != EINTR {
            // Hung up: the agent's side is told in the way terminals do.
            inputEnded = true
        }
        watch()
    }

    private func writeTyped() {
        guard !typed.isEmpty else { return }
        let number = controller.number
        let count = unsafe typed.withUnsafeBytes { unsafe write(number, $0.baseAddress, $0.count) }
        if count > 0 { typed.removeFirst(count) }
    }

    private func serveController(_ events: UInt32) {
        if events & EventLoop.writable != 0 { writeTyped() }
        if events & ~EventLoop.writable != 0 { readShown() }
        if !isFinished { watch() }
    }

    private func readShown() {
        let number = controller.number
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(number, $0.baseAddress, $0.count) }
        if count > 0 {
            show(count)
        } else if count < 0, errno == EAGAIN || errno == EINTR {
            return
        } else {
            isFinished = true
            loop.forget(number)
        }
    }

    /// What the terminal does not take now waits; nothing more is read from the agent meanwhile.
    private func show(_ count: Int) {
        shown.append(contentsOf: buffer[..<count])
        writeShown()
    }

    private func writeShown() {
        while !shown.isEmpty {
            var target = pollfd(fd: output, events: Int16(POLLOUT), revents: 0)
            guard unsafe poll(&target, 1, 0) == 1 else { break }
            let chunk = min(shown.count, 4096)
            let written = unsafe shown.withUnsafeBytes { unsafe write(output, $0.baseAddress, chunk) }
            if written <= 0 {
                if errno == EAGAIN || errno == EINTR { break }
                shown.removeAll(keepingCapacity: true)
                break
            }
            shown.removeFirst(written)
        }
        if shown.isEmpty {
            loop.forget(output == 0 ? -1 : output)
        } else if output != 0 {
            loop.watch(output, for: EventLoop.writable) { [unowned self] _ in
                writeShown()
                if shown.isEmpty, !isFinished { watch() }
            }
        }
    }

    /// After the agent is gone: everything it still wrote, as long as the terminal takes it (two seconds at most).
    func drain() {
        let end = Clock.monotonic() + 2_000_000_000
        while !isFinished || !shown.isEmpty, Clock.monotonic() < end {
            if shown.isEmpty {
                var source = pollfd(fd: controller.number, events: Int16(POLLIN), revents: 0)
                guard unsafe poll(&source, 1, 100) == 1 else { break }
                readShown()
            } else {
                var target = pollfd(fd: output, events: Int16(POLLOUT), revents: 0)
                unsafe poll(&target, 1, 100)
                writeShown()
            }
        }
    }

    func end() { terminal.restore() }
}
