import Launch
import LinuxSystem
import Record

/// Works out why a run ended, from what was heard of it.
struct Ending {
    /// mis ended it, or had to; the first cause stands.
    private(set) var cause: RunExit.KillCause?
    private(set) var detail: String?
    /// The agent's wait status, as pid 1 reported it.
    var status: Int32?
    var executionError: Errno?
    /// What kept the launcher from letting the agent start.
    var failure: LaunchFailure?
    /// Pid 1 took over: set-up is over.
    var isReady = false

    mutating func kill(because cause: RunExit.KillCause, detail: String? = nil) {
        // Nor does it matter any more once the agent has ended by itself.
        guard self.cause == nil, status == nil else { return }
        self.cause = cause
        self.detail = detail
    }

    private var signal: Int32? {
        guard let status, status & 0x7f != 0, status & 0x7f != 0x7f else { return nil }
        return status & 0x7f
    }

    /// Whether lack of memory could be behind it: only then ``exit(outOfMemory:)`` needs to be told.
    var looksOutOfMemory: Bool { status == nil || signal == SIGKILL }

    /// - Parameter outOfMemory: the cgroup's count of processes killed for lack of memory.
    func exit(outOfMemory: UInt64) -> RunExit {
        if !isReady { return .setup(.failed) }
        if let executionError {
            return .setup(executionError.code == ENOENT || executionError.code == ENOTDIR ? .notFound : .notExecutable)
        }
        // Ended with pid 1, which then had no time to say how.
        if let cause { return .killed(cause, signal: status == nil ? SIGKILL : signal) }
        guard let status else {
            // Pid 1 itself was killed: by the kernel for lack of memory, or by somebody outside.
            return outOfMemory > 0 ? .killed(.oom, signal: SIGKILL) : .signalled(SIGKILL)
        }
        if let signal {
            return signal == SIGKILL && outOfMemory > 0 ? .killed(.oom, signal: signal) : .signalled(signal)
        }
        return .exited(status >> 8 & 0xff)
    }
}
