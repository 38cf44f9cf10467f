import HostView

/// Where a plan's mounts are. Of several at one place the lowest counts, which is the first.
public struct MountPlaces: Sendable {
    private var targets = PathIndex()
    /// By place there, a mount's index.
    private var indices: [Int] = []

    public init(_ mounts: [PlannedMount]) {
        targets.reserve(mounts.count)
        for index in mounts.indices where targets.insert(mounts[index].target).isNew { indices.append(index) }
    }

    /// The mount at `path`.
    public func at(_ path: String) -> Int? { targets.place(of: path).map { indices[$0] } }

    /// The one at the folder `path` stands in.
    func atFolder(of path: String) -> Int? { targets.place(ofFolderOf: path).map { indices[$0] } }

    /// The nearest one above `path`, or at it with `orAt`.
    public func nearest(above path: String, orAt: Bool = false) -> Int? {
        targets.nearest(above: path, orAt: orAt).map { indices[$0] }
    }
}
