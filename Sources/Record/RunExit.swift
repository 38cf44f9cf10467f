/// Why a run ended; the raw value is what the report says.
public enum ExitReason: String, Sendable, CaseIterable {
    /// The agent ended by itself.
    case exited
    /// A signal ended the agent, and it was none of the reasons below.
    case signalled
    /// The cgroup ran out of memory.
    case oom
    /// Killed by policy: level 1, or a kill request.
    case policy
    /// Killed by the watchdog.
    case watchdog
    /// Enforcement was lost, so the agent was killed.
    case enforcementLost = "enforcement-lost"
    /// Killed by `--timeout`.
    case timeout
    /// Nothing ran.
    case setup
}

/// How a run ended: the reason and the status `mis run` exits with. The only place that knows the numbers.
public struct RunExit: Sendable, Equatable {
    public let reason: ExitReason
    /// The exit status of `mis run`, 0...255.
    public let code: Int32
    /// The signal that ended the agent, if one did.
    public let signal: Int32?

    private init(_ reason: ExitReason, _ code: Int32, signal: Int32? = nil) {
        self.reason = reason
        self.code = code
        self.signal = signal
    }

    /// The agent's own status, whatever it is: it may be one of ours by chance, and only the reason tells.
    public static func exited(_ status: Int32) -> RunExit { RunExit(.exited, status & 0xFF) }

    /// 128 + N when signal N ended the agent.
    public static func signalled(_ signal: Int32) -> RunExit {
        RunExit(.signalled, min(128 + signal, 255), signal: signal)
    }

    /// Ended by mis or on its limits; `signal` is what ended the agent in the end, if it was one.
    public static func killed(_ cause: KillCause, signal: Int32? = nil) -> RunExit {
        switch cause {
        case .oom: RunExit(.oom, 120, signal: signal)
        case .policy: RunExit(.policy, 121, signal: signal)
        case .watchdog: RunExit(.watchdog, 122, signal: signal)
        case .enforcementLost: RunExit(.enforcementLost, 123, signal: signal)
        case .timeout: RunExit(.timeout, 124, signal: signal)
        }
    }

    /// Nothing ran.
    public static func setup(_ failure: SetupFailure) -> RunExit {
        switch failure {
        case .failed: RunExit(.setup, 125)
        case .notExecutable: RunExit(.setup, 126)
        case .notFound: RunExit(.setup, 127)
        }
    }

    public enum KillCause: Sendable, CaseIterable {
        case oom, policy, watchdog, enforcementLost, timeout
    }

    public enum SetupFailure: Sendable, CaseIterable {
        /// Something on the way to the agent failed and was undone.
        case failed
        /// The command is there, but cannot be executed.
        case notExecutable
        /// The command is not there.
        case notFound
    }
}
