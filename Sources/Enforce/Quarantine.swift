public import LinuxSystem

/// The session's folder for what is taken away from the workspace. Nothing is lost; nothing stays where it was.
///
/// On the same file system an object is moved whole, by one rename. Across file systems a file is opened, unlinked and
/// then copied from the descriptor, so that the name is gone first and the copy cannot be led astray; a folder gets a
/// name of ours beside its own first, and is then emptied in the same way. Symlinks are kept as symlinks and never
/// followed. What exceeds the limits is removed without a copy.
public final class Quarantine {
    public enum Outcome: Sendable, Equatable {
        /// The name it has in the folder.
        case moved(String)
        /// Nothing had that name any more.
        case absent
        case failed(Errno)
    }

    public struct Limits: Sendable {
        public var bytes = 64 << 20
        public var entries = 4096

        public init() {}
    }

    private let parent: FileDescriptor
    private let name: EntryName
    /// The folder, once there was something to put into it.
    private var made: FileDescriptor?
    private var limits: Limits
    private var sequence = 0
    /// Folders under a name of ours that somebody was still filling when they were emptied.
    private var unfinished: [Unfinished] = []

    private final class Unfinished {
        let parent: FileDescriptor
        let name: EntryName

        init(parent: consuming FileDescriptor, name: EntryName) {
            self.parent = parent
            self.name = name
        }
    }

    /// - Parameter path: made when something is first taken away, mode 0700; the folder it lies in must exist. Most runs
    ///   need none, and making and removing one would cost each of them.
    public init(path: String, limits: Limits = Limits()) throws(SystemError) {
        do throws(Errno) {
            let slash = path.lastIndex(of: "/") ?? path.startIndex
            guard let name = EntryName(String(path[slash...].drop { $0 == "/" })) else { throw Errno(EINVAL) }
            self.name = name
            parent = try FileDescriptor.open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        } catch {
            throw error.doing("opening the folder for what is taken away", path)
        }
        self.limits = limits
    }

    /// Where things go. Where no folder can be made any more (a full disk), it is the one around it: nothing stays where it
    /// was for that.
    private var folder: Int32 {
        if let number = made?.number { return number }
        try? name.makeFolder(in: parent.number, mode: 0o700)
        guard let opened = try? name.open(in: parent.number, O_RDONLY | O_DIRECTORY) else { return parent.number }
        let number = opened.number
        made = consume opened
        return number
    }

    /// Takes the object called `name` out of `parent`, whatever it is by now.
    func take(_ name: EntryName, from parent: Int32) -> Outcome {
        guard let kept = free(name) else { return .failed(Errno(EEXIST)) }
        do throws(Errno) {
            do throws(Errno) {
                try name.rename(in: parent, to: kept, in: folder)
            } catch {
                // EACCES: an ordinary user renames a folder only when it may write in it ("..").
                guard error.code == EXDEV || error.code == EACCES || error.code == EPERM else { throw error }
                try empty(name, from: parent, as: kept)
            }
            return .moved(kept.text)
        } catch {
            return error.code == ENOENT ? .absent : .failed(error)
        }
    }

    /// Keeps contents that would be lost elsewhere. Returns the name they have in the folder; `nil`: not kept.
    func keep(_ bytes: [UInt8], as name: EntryName) -> String? {
        guard bytes.count <= limits.bytes, let kept = free(name),
            let file = try? kept.open(in: folder, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600),
            (try? file.writeAll(bytes)) != nil
        else { return nil }
        limits.bytes -= bytes.count
        return kept.text
    }

    /// Removes what could not be emptied while somebody was filling it. To be called when nobody is left.
    /// - Returns: whether nothing is left behind.
    func finish() -> Bool {
        unfinished.removeAll { entry in
            do throws(Errno) {
                try Self.removeTree(entry.name, from: entry.parent.number)
                return true
            } catch {
                return error.code == ENOENT
            }
        }
        return unfinished.isEmpty
    }

    private func empty(_ name: EntryName, from parent: Int32, as kept: EntryName) throws(Errno) {
        guard try name.status(in: parent)?.isFolder == true,
            let beside = EntryName(".mis-removed-\(getpid())-\(sequence)")
        else { return try empty(name, from: parent, into: folder, as: kept, depth: 0) }
        try name.rename(in: parent, to: beside, in: parent)
        do throws(Errno) {
            try empty(beside, from: parent, into: folder, as: kept, depth: 0)
        } catch {
            guard error.code != ENOENT else { return }
            let here = try kernel { clinux_duplicate(parent) }
            unfinished.append(Unfinished(parent: FileDescriptor(owning: here), name: beside))
        }
    }

    /// A name nobody has yet. Cut short: `NAME_MAX` holds for it too.
    private func free(_ name: EntryName) -> EntryName? {
        for _ in 0..<10_000 {
            sequence += 1
            guard let candidate = EntryName(Array("\(sequence)-".utf8) + name.bytes.prefix(200)) else { return nil }
            if !candidate.exists(in: folder) { return candidate }
        }
        return nil
    }

    private func empty(
        _ name: EntryName, from parent: Int32, into target: Int32, as kept: EntryName, depth: Int
    ) throws(Errno) {
        limits.entries -= 1
        guard let status = try name.status(in: parent) else { throw Errno(ENOENT) }
        if status.isFolder {
            try emptyFolder(name, from: parent, into: target, as: kept, depth: depth)
        } else if status.isSymlink {
            let link = try? name.linkTarget(in: parent)
            try name.remove(from: parent)
            if let link, limits.entries > 0 { try? kept.makeSymlink(to: link, in: target) }
        } else if status.isFile {
            let source = try? name.open(in: parent, O_RDONLY | O_NONBLOCK)
            try name.remove(from: parent)
            if let source { copy(source, into: target, as: kept) }
        } else {
            try name.remove(from: parent)
        }
    }

    private func copy(_ source: borrowing FileDescriptor, into target: Int32, as kept: EntryName) {
        guard limits.entries > 0, limits.bytes > 0, let status = try? source.status(), status.isFile,
            let copy = try? kept.open(in: target, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        else { return }
        let copied = (try? copyContents(from: source, to: copy, limit: limits.bytes)) ?? -1
        limits.bytes -= copied < 0 ? limits.bytes : copied
    }

    private func emptyFolder(
        _ name: EntryName, from parent: Int32, into target: Int32, as kept: EntryName, depth: Int
    ) throws(Errno) {
        if limits.entries > 0, depth < 32, (try? kept.makeFolder(in: target, mode: 0o700)) != nil,
            let copy = try? kept.open(in: target, O_RDONLY | O_DIRECTORY)
        {
            try drain(name, from: parent, into: copy.number, depth: depth, keepsCopy: true)
        } else {
            try drain(name, from: parent, into: target, depth: depth, keepsCopy: false)
        }
    }

    private func drain(
        _ name: EntryName, from parent: Int32, into target: Int32, depth: Int, keepsCopy: Bool
    ) throws(Errno) {
        // Whoever is still writing may add to it: some rounds, and what is left then waits for the end.
        for _ in 0..<16 {
            let source = try openFolder(name, in: parent)
            for inner in try entries(of: source, limit: 1024) {
                try discardingAbsence(inner, source.number, target, depth, keepsCopy: keepsCopy)
            }
            do throws(Errno) {
                try name.remove(from: parent, isFolder: true)
                return
            } catch {
                guard error.code == ENOTEMPTY || error.code == EEXIST else { throw error }
            }
        }
        throw Errno(ENOTEMPTY)
    }

    private func discardingAbsence(
        _ name: EntryName, _ parent: Int32, _ target: Int32, _ depth: Int, keepsCopy: Bool
    ) throws(Errno) {
        do throws(Errno) {
            if keepsCopy {
                try empty(name, from: parent, into: target, as: name, depth: depth + 1)
            } else {
                try Self.removeTree(name, from: parent)
            }
        } catch {
            if error.code != ENOENT { throw error }
        }
    }

    /// Removes a tree of any depth with a bounded stack: a folder inside a folder is first lifted up beside it.
    static func removeTree(_ name: EntryName, from parent: Int32) throws(Errno) {
        var lifted = 0
        var waiting = [name]
        while let next = waiting.last {
            do throws(Errno) {
                try next.remove(from: parent)
                waiting.removeLast()
                continue
            } catch {
                if error.code == ENOENT {
                    waiting.removeLast()
                    continue
                }
                guard error.code == EISDIR || error.code == EPERM else { throw error }
            }
            let folder = try openFolder(next, in: parent)
            var isEmpty = true
            for inner in try entries(of: folder, limit: 1024) {
                isEmpty = false
                do throws(Errno) {
                    try inner.remove(from: folder.number)
                } catch {
                    if error.code == ENOENT { continue }
                    guard error.code == EISDIR || error.code == EPERM else { throw error }
                    if (try? inner.remove(from: folder.number, isFolder: true)) != nil { continue }
                    lifted += 1
                    guard let up = EntryName(".mis-lifted-\(getpid())-\(lifted)") else { continue }
                    try inner.rename(in: folder.number, to: up, in: parent)
                    waiting.append(up)
                }
            }
            if isEmpty || waiting.last == next {
                do throws(Errno) {
                    try next.remove(from: parent, isFolder: true)
                    waiting.removeLast()
                } catch {
                    guard error.code == ENOTEMPTY || error.code == EEXIST else { throw error }
                }
            }
        }
    }

    private static func openFolder(_ name: EntryName, in parent: Int32) throws(Errno) -> FileDescriptor {
        do throws(Errno) {
            return try name.open(in: parent, O_RDONLY | O_DIRECTORY)
        } catch {
            guard error.code == EACCES else { throw error }
            // Ours, but its mode keeps us out (an ordinary user's run, where the agent is the same user).
            let object = try name.open(in: parent, O_PATH | O_DIRECTORY)
            try kernel { unsafe chmod(procPath(object.number), 0o700) }
            return try name.open(in: parent, O_RDONLY | O_DIRECTORY)
        }
    }

    private func openFolder(_ name: EntryName, in parent: Int32) throws(Errno) -> FileDescriptor {
        try Self.openFolder(name, in: parent)
    }
}
