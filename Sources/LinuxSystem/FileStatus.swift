/// statx(2): what an object is and whose.
public struct FileStatus: Equatable, Sendable {
    public var deviceMajor: UInt32
    public var deviceMinor: UInt32
    public var inode: UInt64
    public var mode: UInt16
    public var links: UInt32
    public var user: UInt32
    public var group: UInt32
    public var size: UInt64
    /// Nanoseconds since the epoch.
    public var modified: Int64

    public init(
        of path: String, at directory: Int32 = AT_FDCWD, flags: Int32 = AT_SYMLINK_NOFOLLOW
    ) throws(Errno) {
        var raw = statx()
        try kernel { unsafe clinux_statx(directory, path, flags, &raw) }
        deviceMajor = raw.stx_dev_major
        deviceMinor = raw.stx_dev_minor
        inode = raw.stx_ino
        mode = raw.stx_mode
        links = raw.stx_nlink
        user = raw.stx_uid
        group = raw.stx_gid
        size = raw.stx_size
        modified = raw.stx_mtime.tv_sec * 1_000_000_000 + Int64(raw.stx_mtime.tv_nsec)
    }

    private func isKind(_ kind: mode_t) -> Bool { mode_t(mode) & mode_t(S_IFMT) == kind }
    public var isFolder: Bool { isKind(mode_t(S_IFDIR)) }
    public var isFile: Bool { isKind(mode_t(S_IFREG)) }
    public var isSymlink: Bool { isKind(mode_t(S_IFLNK)) }
    public var isSocket: Bool { isKind(mode_t(S_IFSOCK)) }

    /// Device and inode: what an object is, whatever it is called.
    public var identity: ObjectIdentity {
        ObjectIdentity(deviceMajor: deviceMajor, deviceMinor: deviceMinor, inode: inode)
    }
}

public struct ObjectIdentity: Hashable, Sendable {
    public var deviceMajor: UInt32
    public var deviceMinor: UInt32
    public var inode: UInt64

    public init(deviceMajor: UInt32, deviceMinor: UInt32, inode: UInt64) {
        self.deviceMajor = deviceMajor
        self.deviceMinor = deviceMinor
        self.inode = inode
    }
}
