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
    private var folders: [Folder] = []
    private var opened = 0
    /// The folder that was asked for last: names of one folder come one after another.
    private var latest: (path: String, folder: Folder)?

    public init() {}

    deinit {
        for case .open(let number) in folders { close(number) }
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
        if target.split(separator: "/").contains("..") { return HostProbe.look(at: path) }
        let next = Paths.normal(target, base: Paths.parent(path))
        return look(at: next, followed: followed + 1).behind([.init(path: path, target: target)])
    }

    private func folder(of path: String, _ followed: Int) -> Folder {
        if let latest, Paths.isDirectlyBelow(path, latest.path) { return latest.folder }
        let parent = Paths.parent(path)
        let found: Folder
        if let place = index.place(of: parent) {
            found = folders[place]
        } else {
            found = open(parent, followed)
            // Symlinks that lead back to it have been here in between.
            let (place, isNew) = index.insert(parent)
            if isNew { folders.append(found) } else { folders[place] = found }
        }
        latest = (parent, found)
        return found
    }

    private func open(_ path: String, _ followed: Int) -> Folder {
        if let above = index.place(of: Paths.parent(path)), case .absent = folders[above] { return .absent }
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
