import KernelSupport
import Plan
import Profile

extension Machine {
    /// The running machine, as the planner wants it described.
    init(_ support: KernelSupport) {
        let tiers = support.tiers
        self.init(
            tiers: tiers.filter(\.isAvailable).map(\.tier), landlockABI: support.landlockABI, memory: support.memory,
            processors: support.processors, lastCapability: support.lastCapability,
            missing: Dictionary(
                tiers.compactMap { entry in entry.answer.reason.map { (entry.tier, $0) } },
                uniquingKeysWith: { first, _ in first }))
    }
}
