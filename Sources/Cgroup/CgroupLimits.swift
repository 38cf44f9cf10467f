/// What a sandbox's cgroup is to hold the agent to; `nil` is no limit of ours.
public struct CgroupLimits: Sendable, Equatable {
    /// Bytes; above it the kernel's OOM killer ends the sandbox. Swap is not to be used to get around it.
    public var memory: UInt64?
    /// Bytes; above it the sandbox is slowed and its memory reclaimed.
    public var memoryHigh: UInt64?
    /// Percent of one core: 80 is four fifths of a core, 200 two cores.
    public var cpuPercent: Int?
    /// 1...10000, 100 is a neighbour's default (the scale of cgroup v2's `cpu.weight`).
    public var cpuWeight: Int?
    /// Tasks (processes and threads) at once.
    public var processes: Int?
    /// 1...10000, 100 is a neighbour's default (the scale of cgroup v2's `io.weight`).
    public var ioWeight: Int?

    public init(
        memory: UInt64? = nil, memoryHigh: UInt64? = nil, cpuPercent: Int? = nil, cpuWeight: Int? = nil,
        processes: Int? = nil, ioWeight: Int? = nil
    ) {
        self.memory = memory
        self.memoryHigh = memoryHigh
        self.cpuPercent = cpuPercent
        self.cpuWeight = cpuWeight
        self.processes = processes
        self.ioWeight = ioWeight
    }

    /// The limits that are set and ask for something, by the names a profile gives them.
    public var names: [LimitName] {
        var names: [LimitName] = []
        if memory != nil { names.append(.memory) }
        if memoryHigh != nil { names.append(.memoryHigh) }
        if cpuPercent != nil { names.append(.cpu) }
        if cpuWeight != nil { names.append(.cpuWeight) }
        if processes != nil { names.append(.processes) }
        // The weight everybody has anyway needs no folder, which is a tenth of a millisecond on v1.
        if let ioWeight, ioWeight != IOWeight.neutral { names.append(.ioWeight) }
        return names
    }

    /// All of these limits, reported as not enforced for one reason: where no cgroup can be made at all.
    public func unenforced(because reason: String) -> [UnenforcedLimit] {
        names.map { UnenforcedLimit($0, reason) }
    }
}

/// A limit a cgroup enforces. The raw value is its key in a profile's `[limits]`.
public enum LimitName: String, Sendable, CaseIterable {
    case memory
    case memoryHigh = "memory_high"
    case cpu
    case cpuWeight = "cpu_weight"
    case processes = "pids"
    case ioWeight = "io_weight"

    /// The controller that enforces it.
    var controller: CgroupController {
        switch self {
        case .memory, .memoryHigh: .memory
        case .cpu, .cpuWeight: .cpu
        case .processes: .processes
        case .ioWeight: .io
        }
    }
}

/// A limit that was asked for and does not hold, or holds only in part. Never dropped in silence: the caller decides.
public struct UnenforcedLimit: Sendable, Equatable, CustomStringConvertible {
    public var limit: LimitName
    /// What stands in the way, and what the kernel said.
    public var reason: String

    public init(_ limit: LimitName, _ reason: String) {
        self.limit = limit
        self.reason = reason
    }

    public var description: String { "limit \(limit.rawValue): \(reason)" }
}

/// A resource controller, under its cgroup v2 name.
public enum CgroupController: String, Sendable, CaseIterable {
    case memory
    case cpu
    case processes = "pids"
    case io
    /// v1 only, where no v2 tree counts processor time for us.
    case cpuAccounting = "cpuacct"
    /// v1 only, where no v2 tree can freeze and kill for us.
    case freezer

    /// The folder a v1 hierarchy of it is mounted at, below /sys/fs/cgroup.
    var legacyFolder: String { self == .io ? "blkio" : rawValue }
}
