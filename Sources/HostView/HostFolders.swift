import LinuxSystem

/// Looks at many paths that stand in a few folders, as a profile's do: each folder is opened once, and what is in it is
/// one question more. Gives what ``HostProbe/look(at:)`` gives.
public final class HostFolders {
    private enum Folder {
        /// Reached without a symlink, so that what is in it has the path it was asked for.
        case open(Int32)
        /// Behind symlinks: the path without them.
        case behind(HostObject.Present)
        case absent
        /// Closed to us, or one of too many: each path is looked at by itself.
        case other
    }

    /// As many stay open at most: descriptors are needed for other things, too.
    private static let limit = 64
    /// As many symlinks are followed as the kernel follows.
    private static let symlinks = 40

    private var index = PathIndex()
    // By place in the index, what a folder is in two parts: lists of these types are made at each start anyway, and one of
    // another type would cost the runtime as much as twenty questions cost the kernel.
    private var descriptors: [Int32] = []
    private var seen: [HostObject] = []
    private static let closed: Int32 = -2
    private var opened = 0
    /// The place of the folder that was asked for last: names of one folder come one after another.
    private var latest = -1

    public init() {}

    deinit {
        for number in descriptors where number >= 0 { close(number) }
    }

    private func known(_ place: Int) -> Folder {
        if descriptors[place] >= 0 { return .open(descriptors[place]) }
        if descriptors[place] == Self.closed { return .other }
        if case .present(let object) = seen[place] { return .behind(object) }
        return .absent
    }

    /// - Returns: its place.
    private func keep(_ folder: Folder, at path: String) -> Int {
        let (number, object): (Int32, HostObject) =
            switch folder {
            case .open(let number): (number, .absent)
            case .behind(let object): (-1, .present(object))
            case .absent: (-1, .absent)
            case .other: (Self.closed, .absent)
            }
        // Symlinks that lead back to it may have been here in between.
        let (place, isNew) = index.insert(path)
        if isNew {
            descriptors.append(number)
            seen.append(object)
        } else {
            descriptors[place] = number
            seen[place] = object
        }
        return place
    }

    /// What is at an absolute, normal path.
    public func look(at path: String) -> HostObject { look(at: path, followed: 0) }

    private func look(at path: String, followed: Int) -> HostObject {
        if path == "/" { return HostProbe.look(at: path) }
        if followed > Self.symlinks { return .absent }
        switch folder(of: path, followed) {
        case .absent: return .absent
        case .other: return HostProbe.look(at: path)
        case .behind(let folder):
            let path = Paths.join(folder.canonical, Paths.lastName(path))
            return look(at: path, followed: followed + folder.links.count).behind(folder.links)
        case .open(let folder):
            let name = Paths.lastName(path)
            do throws(Errno) {
                let status = try FileStatus(of: name, at: folder)
                if status.isSymlink { return follow(path, try readLink(name, at: folder), followed) }
                return .present(.init(canonical: path, status: status))
            } catch {
                return error.code == ENOENT ? .absent : HostProbe.look(at: path)
            }
        }
    }

    private func follow(_ path: String, _ target: String, _ followed: Int) -> HostObject {
        // Where `..` leads depends on the symlinks before it.
        if climbs(target) { return HostProbe.look(at: path) }
        let next = Paths.normal(target, base: Paths.parent(path))
        return look(at: next, followed: followed + 1).behind([.init(path: path, target: target)])
    }

    private func folder(of path: String, _ followed: Int) -> Folder {
        if latest >= 0, Paths.isDirectlyBelow(path, index.paths[latest]) { return known(latest) }
        if let place = index.place(ofFolderOf: path) {
            latest = place
            return known(place)
        }
        let parent = Paths.parent(path)
        let found = open(parent, followed)
        latest = keep(found, at: parent)
        return found
    }

    private func open(_ path: String, _ followed: Int) -> Folder {
        if let above = index.place(of: Paths.parent(path)), case .absent = known(above) { return .absent }
        if opened == Self.limit { return .other }
        do throws(Errno) {
            let folder = try FileDescriptor.openWithoutSymlinks(path, O_PATH | O_DIRECTORY)
            opened += 1
            return .open(folder.release())
        } catch {
            switch error.code {
            case ENOENT, ENOTDIR: return .absent
            case ELOOP:
                guard case .present(let folder) = look(at: path, followed: followed) else { return .absent }
                return .behind(folder)
            default: return .other
            }
        }
    }
}

extension HostObject {
    /// Seen through these symlinks.
    fileprivate func behind(_ links: [Link]) -> HostObject {
        guard case .present(var object) = self else { return self }
        object.links = links + object.links
        return .present(object)
    }
}
