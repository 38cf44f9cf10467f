import KernelSupport
import Plan
import Profile

extension Machine {
    /// The running machine, as the planner wants it described.
    init(_ support: KernelSupport) {
        self.init(
            tiers: [], landlockABI: support.landlockABI, memory: support.memory, processors: support.processors,
            lastCapability: support.lastCapability)
        for entry in support.tiers {
            switch entry.answer.reason {
            case let reason?: missing[entry.tier] = reason
            case nil: tiers.append(entry.tier)
            }
        }
    }
}
