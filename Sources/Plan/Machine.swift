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
    public var missing: TierReasons
    /// Tiers the machine promised and then refused: why. Said in every run, for it is not as it should be.
    public var refused: TierReasons = [:]

    public init(
        tiers: [Tier], landlockABI: Int, memory: UInt64, processors: Int, lastCapability: Int,
        missing: TierReasons = [:]
    ) {
        self.tiers = tiers
        self.landlockABI = landlockABI
        self.memory = memory
        self.processors = processors
        self.lastCapability = lastCapability
        self.missing = missing
    }
}

/// A sentence for some of the tiers. No dictionary: the first of its kind costs every start a tenth of a millisecond.
public struct TierReasons: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    private var bpf: String?
    private var fanotify: String?
    private var landlock: String?

    public init(dictionaryLiteral reasons: (Tier, String)...) {
        for (tier, reason) in reasons { self[tier] = reason }
    }

    public subscript(tier: Tier) -> String? {
        get {
            switch tier {
            case .bpf: bpf
            case .fanotify: fanotify
            case .landlock: landlock
            }
        }
        set {
            switch tier {
            case .bpf: bpf = newValue
            case .fanotify: fanotify = newValue
            case .landlock: landlock = newValue
            }
        }
    }
}
