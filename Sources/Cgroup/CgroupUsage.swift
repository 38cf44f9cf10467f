/// What the processes of a cgroup have used; `nil` where the kernel does not count it.
public struct CgroupUsage: Sendable, Equatable {
    /// Processor time, microseconds.
    public var cpuMicroseconds: UInt64?
    /// Scheduling periods in which the processor limit held the sandbox back.
    public var throttledPeriods: UInt64?
    /// Time held back by the processor limit, microseconds.
    public var throttledMicroseconds: UInt64?
    /// Bytes charged now.
    public var memory: UInt64?
    /// The most bytes ever charged. On v2 since Linux 5.19.
    public var memoryPeak: UInt64?
    /// How often the memory limit was met (then memory is reclaimed, and processes are killed if that fails). v2 only:
    /// v1's failcnt stays 0 on newer kernels where memory and swap together have the same limit.
    public var memoryLimitHits: UInt64?
    /// Processes the OOM killer ended.
    public var outOfMemoryKills: UInt64?
    /// Tasks now.
    public var processes: UInt64?
    /// The most tasks ever. Since Linux 6.1.
    public var processesPeak: UInt64?
    /// How often a fork was refused for the limit on tasks.
    public var processLimitHits: UInt64?

    public init() {}
}

/// Reads the plain formats of cgroup files.
enum CgroupFile {
    /// A file of one number.
    static func number(_ text: String) -> UInt64? {
        UInt64(text.prefix { $0 != "\n" })
    }

    /// The value of `key` in a file of `key value` lines.
    static func value(of key: String, in text: String) -> UInt64? {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 2, parts[0] == key { return UInt64(parts[1]) }
        }
        return nil
    }
}
