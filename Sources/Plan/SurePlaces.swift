import HostView

/// Which places of the private root a mount can be put at by name.
///
/// A name is safe where no folder on the way can be, or become, a symlink. Then the kernel need not be told to follow none,
/// which takes two calls more for each mount.
public struct SurePlaces: Sendable {
    /// Symlinks stand here, or the kernel makes some.
    private let links: [String]
    private let mounts: [PlannedMount]

    public init(_ plan: SandboxPlan) { self.init(mounts: plan.mounts, links: plan.links) }

    init(mounts: [PlannedMount], links: [HostObject.Link]) {
        self.links = ["/dev", "/proc"] + links.map { $0.path }
        self.mounts = mounts
    }

    /// All folders on the way are our own, and nothing stands at the place but what we put there.
    public func areOurs(_ path: String) -> Bool {
        !links.contains { Paths.isAtOrBelow(path, $0) } && !mounts.contains { $0.showsFiles && $0.isAbove(path) }
    }

    /// Or the last folder is the root of what is mounted there, and no sandbox of this plan writes in it. What stands at
    /// the place may be a symlink: it must not be followed.
    public func contains(_ path: String) -> Bool {
        if areOurs(path) { return true }
        guard let above = mounts.first(where: { $0.target == Paths.parent(path) }) else { return false }
        return above.readOnly && areOurs(above.target)
    }
}

extension PlannedMount {
    /// What others have files in, or could have; not a fresh file system of ours.
    var showsFiles: Bool {
        switch kind {
        case .bind, .synthetic: true
        case .tmpfs, .mask: false
        }
    }

    public func isAbove(_ path: String) -> Bool { path != target && Paths.isAtOrBelow(path, target) }
}
