import LinuxSystem
public import PolicyFiles
import ThreatPolicy

/// The folder `feed` of a policy folder: what the feed keeps for itself. It is apart so that the feed needs no right to
/// write beside `active.json`.
///
///     status.json   for `mis policy status`, and what the next start goes on from
///     client        the name by which brokers know this machine's session
///     lock          held while a feed runs
public struct FeedFolder: Sendable {
    public let path: String

    public init(_ policy: PolicyFolder) { path = policy.path + "/feed" }

    public func make() throws(SystemError) {
        guard unsafe mkdir(path, 0o700) != 0, errno != EEXIST else { return }
        throw Errno(errno).doing("making the folder", path)
    }

    /// Held as long as the descriptor is open; `nil`: somebody else holds it.
    public func lock() throws(SystemError) -> FileDescriptor? {
        do throws(Errno) {
            let file = try FileDescriptor.open(path + "/lock", O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
            // `mis policy status` holds it for a moment when it looks whether somebody else does.
            for _ in 0..<20 where flock(file.number, LOCK_EX | LOCK_NB) != 0 { usleep(25_000) }
            try kernel { flock(file.number, LOCK_EX | LOCK_NB) }
            return file
        } catch {
            if error.code == EWOULDBLOCK { return nil }
            throw error.doing("locking", path + "/lock")
        }
    }

    /// Whether a feed runs, or pulls once, now.
    public var isRunning: Bool {
        guard let file = try? FileDescriptor.open(path + "/lock", O_RDONLY | O_NOFOLLOW) else { return false }
        return flock(file.number, LOCK_SH | LOCK_NB) != 0
    }

    public func readStatus() -> FeedStatus? {
        guard let file = try? FileDescriptor.open(path + "/status.json", O_RDONLY | O_NOFOLLOW),
            let text = (try? file.readAll(limit: FeedStatus.largest)) ?? nil
        else { return nil }
        return FeedStatus(text)
    }

    public func write(_ status: FeedStatus) throws(SystemError) {
        try replace("status.json", status.text)
    }

    /// Drawn once and kept: a broker gives a session back to the name it was made under.
    public func clientName() throws(SystemError) -> String {
        let known = (try? readText(path + "/client", limit: 256))?.split(separator: "\n").first.map(String.init)
        if let known, known.hasPrefix("mis-"), known.utf8.count == 20 { return known }
        let name = "mis-" + Hexadecimal.text((0..<8).map { _ in UInt8.random(in: 0...255) })
        try replace("client", Array((name + "\n").utf8))
        return name
    }

    private func replace(_ name: String, _ bytes: [UInt8]) throws(SystemError) {
        let fresh = "\(path)/.\(name).new"
        do throws(Errno) {
            unsafe unlink(fresh)
            let file = try FileDescriptor.open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            try file.writeAll(bytes)
            try kernel { unsafe rename(fresh, "\(path)/\(name)") }
        } catch {
            unsafe unlink(fresh)
            throw error.doing("writing", "\(path)/\(name)")
        }
    }
}
