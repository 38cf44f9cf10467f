import LinuxSystem

/// Opens the folder something of ours is to be put in, trusting no name the agent could have made.
enum ParentFolder {
    enum Purpose {
        /// Missing folders are made; the last component may be no symbolic link.
        case record
        /// The folder must be there, and may be reached through symbolic links.
        case report

        fileprivate var action: String {
            switch self {
            case .record: "make the record in"
            case .report: "write the report in"
            }
        }

        fileprivate var option: String {
            switch self {
            case .record: "--record"
            case .report: "--report"
            }
        }
    }

    /// - Parameter confined: a folder the agent can write to. Below it not one component may be a symbolic link.
    static func open(_ path: String, confined: String?, purpose: Purpose) throws(RecordError) -> FileDescriptor {
        guard !path.isEmpty else {
            throw RecordError(
                purpose.action, "''", problem: "the name is empty", remedy: "name a folder with \(purpose.option)")
        }
        if let confined, let below = relative(path, to: confined) {
            var folder = try openAncestor(confined, purpose)
            for component in below {
                guard component != ".." else {
                    throw RecordError(
                        purpose.action, path, problem: "the path goes up again with ..", remedy: "give it without ..")
                }
                folder = try step(into: component, at: folder.number, purpose, shown: path)
            }
            return folder
        }
        switch purpose {
        case .record: return try openLast(withoutTrailing(path), purpose)
        case .report: return try openAncestor(path, purpose)
        }
    }

    /// Refuses a folder in which somebody else could replace what we put there.
    static func check(_ folder: borrowing FileDescriptor, _ path: String, owners: [uid_t]) throws(RecordError) {
        let status: stat
        do throws(Errno) {
            status = try RecordIO.status(of: folder)
        } catch {
            throw RecordError("look at", path, error)
        }
        let sticky = status.st_mode & S_ISVTX != 0
        let ours = status.st_uid == RecordIO.effectiveUser || owners.contains(status.st_uid)
        guard ours || (sticky && status.st_uid == 0) else {
            throw RecordError(
                "keep the record in", path, problem: "the folder belongs to user \(status.st_uid), not to us",
                remedy: "choose a folder of your own with --record")
        }
        guard sticky || status.st_mode & S_IWOTH == 0 else {
            throw RecordError(
                "keep the record in", path, problem: "everybody may write to the folder",
                remedy: "take that right away (chmod o-w), or choose another with --record")
        }
    }

    /// The components of `path` below `root`, if it lies there; both are compared as text.
    private static func relative(_ path: String, to root: String) -> [String]? {
        let components = split(path)
        let above = split(root)
        guard path.utf8.first == UInt8(ascii: "/"), components.starts(with: above) else { return nil }
        return Array(components.dropFirst(above.count))
    }

    private static func split(_ path: String) -> [String] {
        path.split(separator: "/").map(String.init).filter { $0 != "." }
    }

    /// Without trailing `/` and `/.`, behind which O_NOFOLLOW would not look.
    private static func withoutTrailing(_ path: String) -> String {
        var bytes = Array(path.utf8)
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") || bytes.hasSuffix("/.") { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The last component itself must be a folder; those above it may be symbolic links.
    private static func openLast(_ path: String, _ purpose: Purpose) throws(RecordError) -> FileDescriptor {
        do throws(Errno) {
            return try RecordIO.openFolder(path)
        } catch {
            guard error.code == ENOENT, purpose == .record else {
                throw refusal(error, path, at: AT_FDCWD, purpose, shown: path)
            }
        }
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else {
            return try step(into: path, at: AT_FDCWD, purpose, shown: path)
        }
        let above = slash == path.startIndex ? "/" : String(path[..<slash])
        let name = String(path[path.utf8.index(after: slash)...])
        let parent = try openAncestor(above, purpose)
        return try step(into: name, at: parent.number, purpose, shown: path)
    }

    /// May be reached through symbolic links: /home, /var/run and home folders often are.
    private static func openAncestor(_ path: String, _ purpose: Purpose) throws(RecordError) -> FileDescriptor {
        do throws(Errno) {
            return try RecordIO.openFolder(path + "/.")
        } catch {
            guard error.code == ENOENT, purpose == .record else {
                throw refusal(error, path, at: AT_FDCWD, purpose, shown: path)
            }
        }
        return try openLast(withoutTrailing(path), purpose)
    }

    private static func step(
        into name: String, at folder: Int32, _ purpose: Purpose, shown: String
    ) throws(RecordError) -> FileDescriptor {
        do throws(Errno) {
            do throws(Errno) {
                return try RecordIO.openFolder(name, in: folder)
            } catch {
                guard error.code == ENOENT, purpose == .record else { throw error }
            }
            do throws(Errno) {
                try RecordIO.makeFolder(name, in: folder)
            } catch {
                // Another run may have been faster; what it made is opened like any other folder.
                guard error.code == EEXIST else { throw error }
            }
            return try RecordIO.openFolder(name, in: folder)
        } catch {
            throw refusal(error, name, at: folder, purpose, shown: shown)
        }
    }

    /// The kernel says "not a directory" for a symbolic link, too: say which it is.
    private static func refusal(
        _ answer: Errno, _ name: String, at folder: Int32, _ purpose: Purpose, shown: String
    ) -> RecordError {
        if answer.code == ENOTDIR || answer.code == ELOOP, let status = try? RecordIO.status(of: name, in: folder),
            status.st_mode & S_IFMT == S_IFLNK
        {
            return RecordError(
                purpose.action, shown, problem: "\(name) is a symbolic link", remedy: "give the folder it leads to")
        }
        return RecordError(purpose.action, shown, answer, option: purpose.option)
    }
}

extension [UInt8] {
    fileprivate func hasSuffix(_ text: String) -> Bool { suffix(text.utf8.count).elementsEqual(text.utf8) }
}
