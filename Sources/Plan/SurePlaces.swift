import HostView

/// Which places of the private root a mount can be put at by name.
///
/// A name is safe where no folder on the way can be, or become, a symlink. Then the kernel need not be told to follow none,
/// which takes two calls more for each mount.
public struct SurePlaces: Sendable {
    /// Symlinks stand here, or the kernel makes some.
    private let links: PathIndex
    /// What others have files in is shown here.
    private let shown: PathIndex
    private let mounts: [PlannedMount]
    public let places: MountPlaces

    public init(_ plan: SandboxPlan) { self.init(mounts: plan.mounts, links: plan.links) }

    init(mounts: [PlannedMount], links: [HostObject.Link]) {
        self.mounts = mounts
        places = MountPlaces(mounts)
        self.links = PathIndex(["/dev", "/proc"] + links.map { $0.path })
        var shown = PathIndex()
        for index in mounts.indices where mounts[index].kind.showsFiles { shown.insert(mounts[index].target) }
        self.shown = shown
    }

    /// All folders on the way are our own, and nothing stands at the place but what we put there.
    public func areOurs(_ path: String) -> Bool {
        links.nearest(above: path, orAt: true) == nil && shown.nearest(above: path) == nil
    }

    /// Or the last folder is the root of what is mounted there, and no sandbox of this plan writes in it. What stands at
    /// the place may be a symlink: it must not be followed.
    public func contains(_ path: String) -> Bool {
        if areOurs(path) { return true }
        guard let above = places.atFolder(of: path) else { return false }
        return mounts[above].readOnly && areOurs(mounts[above].target)
    }
}

extension PlannedMount {
    public func isAbove(_ path: String) -> Bool { path != target && Paths.isAtOrBelow(path, target) }
}

extension PlannedMount.Kind {
    /// What others have files in, or could have; not a fresh file system of ours.
    var showsFiles: Bool {
        switch self {
        case .bind, .synthetic: true
        case .tmpfs, .mask: false
        }
    }
}
