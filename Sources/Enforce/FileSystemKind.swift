import LinuxSystem

/// What kind of file system a place lies on, where that decides what can be enforced.
public enum FileSystemKind {
    /// Local file systems whose open(2) asks fanotify without holding a folder's lock, and whose objects the supervisor
    /// can open without waiting for anybody.
    ///
    /// Others (NFS, FUSE, 9P, Ceph, SMB) may open and create in one step with the folder locked (`atomic_open`). Were
    /// such an open asked about, the supervisor, looking at the same folder for its other duties, would wait for the
    /// very thread that waits for it; and a server that does not answer would stop it altogether.
    private static func isLocal(type: UInt32) -> Bool {
        switch type {
        case 0xEF53,  // ext4
            0x5846_5342,  // xfs
            0x9123_683E,  // btrfs
            0x0102_1994,  // tmpfs
            0x794C_7630,  // overlayfs
            0xF2F5_2010,  // f2fs
            0xCA45_1A4E:  // bcachefs
            true
        default: false
        }
    }

    /// Whether opens on the file system may be asked about, and its names be watched.
    public static func isLocal(_ object: Int32) -> Bool {
        var status = statfs()
        guard unsafe fstatfs(object, &status) == 0 else { return false }
        return isLocal(type: UInt32(truncatingIfNeeded: status.f_type))
    }

    /// The same by path.
    public static func isLocal(path: String) -> Bool {
        guard let object = try? FileDescriptor.open(path, O_PATH) else { return false }
        return isLocal(object.number)
    }
}
