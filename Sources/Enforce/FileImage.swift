import LinuxSystem

/// A regular file's contents, read whole while nobody was writing it.
struct FileImage {
    enum Reading {
        case file(FileImage)
        case absent
        /// Somebody has it open for writing, or changed it while it was read: to be tried again.
        case busy
        /// A symlink, a folder, a device...
        case otherKind(isFolder: Bool)
        /// More than the limit.
        case tooLarge
        case failed(Errno)
    }

    /// Tells contents apart; salted per process, so that nobody can aim for two that look alike.
    struct Digest: Equatable {
        var size: Int
        var hash: Int
    }

    var bytes: [UInt8]
    var status: FileStatus
    let digest: Digest

    private init(bytes: [UInt8], status: FileStatus) {
        self.bytes = bytes
        self.status = status
        var hasher = Hasher()
        unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        digest = Digest(size: bytes.count, hash: hasher.finalize())
    }

    /// - Parameter insists: read it although somebody may be writing (nobody is left who could finish).
    static func read(_ name: EntryName, in folder: Int32, limit: Int, insists: Bool) -> Reading {
        do throws(Errno) {
            // O_NONBLOCK: a FIFO in its place must not stop us.
            let file = try name.open(in: folder, O_RDONLY | O_NONBLOCK)
            let before = try file.status()
            guard before.isFile else { return .otherKind(isFolder: before.isFolder) }
            guard before.size <= UInt64(limit) else { return .tooLarge }
            if !insists, clinux_has_writer(file.number) == 1 { return .busy }
            guard let bytes = try file.readAll(limit: limit) else { return .tooLarge }
            let after = try file.status()
            let isStable = after.size == before.size && after.modified == before.modified
            guard insists || isStable else { return .busy }
            return .file(FileImage(bytes: bytes, status: after))
        } catch {
            switch error.code {
            case ENOENT: return .absent
            // A symlink (O_NOFOLLOW); a socket; a file swapped for it meanwhile.
            case ELOOP, ENXIO: return .otherKind(isFolder: false)
            case EWOULDBLOCK: return .busy
            default: return .failed(error)
            }
        }
    }

    /// Puts a file in place, whole or not at all: a neighbour is written and renamed over it.
    static func replace(
        _ name: EntryName, in folder: Int32, with bytes: [UInt8], mode: UInt16, user: UInt32, group: UInt32
    ) throws(Errno) {
        var random = SystemRandomNumberGenerator()
        let mark = String(random.next() as UInt64, radix: 36)
        guard let neighbour = EntryName(Array(".mis-\(mark)-".utf8) + name.bytes.prefix(200)) else {
            throw Errno(ENAMETOOLONG)
        }
        let file = try neighbour.open(in: folder, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        do throws(Errno) {
            try file.writeAll(bytes)
            let status = try file.status()
            if status.user != user || status.group != group { try kernel { fchown(file.number, user, group) } }
            // After the owner: chown(2) takes set-id bits away. None are given.
            try kernel { fchmod(file.number, mode_t(mode) & 0o777) }
            try neighbour.rename(in: folder, to: name, in: folder)
        } catch {
            try? neighbour.remove(from: folder)
            throw error
        }
    }
}
