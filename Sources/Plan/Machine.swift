public import Profile

/// What the planner needs to know of the machine. A value: tests describe any machine with it.
public struct Machine: Sendable, Equatable {
    public var tiers: [Tier]
    public var landlockABI: Int
    /// Bytes.
    public var memory: UInt64
    public var processors: Int
    /// Highest capability number the kernel knows.
    public var lastCapability: Int
    /// For each tier that is missing, why, in a sentence.
    public var missing: [Tier: String]
    /// Tiers the machine promised and then refused: why. Said in every run, for it is not as it should be.
    public var refused: [Tier: String] = [:]

    public init(
        tiers: [Tier], landlockABI: Int, memory: UInt64, processors: Int, lastCapability: Int,
        missing: [Tier: String] = [:]
    ) {
        self.tiers = tiers
        self.landlockABI = landlockABI
        self.memory = memory
        self.processors = processors
        self.lastCapability = lastCapability
        self.missing = missing
    }
}
