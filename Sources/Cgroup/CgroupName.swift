public import LinuxSystem

/// The name of a sandbox's cgroup: `mis-<pid of the launcher>-<microseconds>`.
///
/// The number is CLOCK_MONOTONIC's at the making, so that no two launches of one boot share a name, whatever pids are
/// used again and however many sandboxes a process makes. Whether its launcher lives is not read from the name but
/// from the lock it holds on the folder (see ``StaleCgroups``), which neither a pid used again nor another pid
/// namespace can confuse, and which costs less than reading a start time from /proc.
public struct CgroupName: Sendable, Equatable, CustomStringConvertible {
    public var launcher: pid_t
    /// CLOCK_MONOTONIC, microseconds.
    public var made: UInt64

    public init(launcher: pid_t, made: UInt64) {
        self.launcher = launcher
        self.made = made
    }

    /// A new name for a cgroup of this process.
    public static func new() -> CgroupName {
        CgroupName(launcher: getpid(), made: Clock.monotonic() / 1000)
    }

    /// Reads a folder's name; `nil` when it is not exactly one of ours.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "mis", let launcher = pid_t(parts[1]), launcher > 0,
            let made = UInt64(parts[2]), text == "mis-\(launcher)-\(made)"
        else { return nil }
        self.launcher = launcher
        self.made = made
    }

    public var description: String { "mis-\(launcher)-\(made)" }
}
