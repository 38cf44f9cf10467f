import LinuxSystem

/// Reads who made and renamed what on whole file systems (fanotify(7), FAN_REPORT_DFID_NAME_TARGET, Linux 5.17). The
/// unsafe half of ``NamePatternWatcher``.
@safe final class NameEvents {
    enum Reading {
        case event
        case nothing
        case failed(Errno)
    }

    let group: FileDescriptor
    private let reader: UnsafeMutablePointer<clinux_event_reader>
    private let event: UnsafeMutablePointer<clinux_name_event>

    init() throws(Errno) {
        let flags =
            UInt32(FAN_CLASS_NOTIF) | UInt32(FAN_REPORT_DIR_FID) | UInt32(FAN_REPORT_NAME) | UInt32(FAN_REPORT_FID)
            | UInt32(clinux_FAN_REPORT_TARGET_FID) | UInt32(FAN_UNLIMITED_QUEUE) | UInt32(FAN_NONBLOCK)
            | UInt32(FAN_CLOEXEC)
        let group = FileDescriptor(owning: try kernel { fanotify_init(flags, UInt32(O_RDONLY | O_CLOEXEC)) })
        unsafe reader = .allocate(capacity: 1)
        unsafe reader.initialize(to: clinux_event_reader())
        unsafe reader.pointee.group = group.number
        unsafe event = .allocate(capacity: 1)
        unsafe event.initialize(to: clinux_name_event())
        self.group = group
    }

    deinit {
        unsafe reader.deallocate()
        unsafe event.deallocate()
    }

    /// Watches the whole file system an open object lies on.
    func watch(_ object: Int32, _ mask: UInt64) throws(Errno) {
        try kernel {
            unsafe fanotify_mark(
                group.number, UInt32(FAN_MARK_ADD) | UInt32(FAN_MARK_FILESYSTEM), mask, AT_FDCWD, procPath(object))
        }
    }

    /// Moves on to the next event; everything below is about it.
    func next() -> Reading {
        switch unsafe clinux_next_name(reader, event) {
        case 0: return .nothing
        case 1: return .event
        default: return .failed(Errno(errno))
        }
    }

    var mask: UInt64 { unsafe event.pointee.mask }
    var process: Int32 { unsafe event.pointee.process }
    /// The name made, or the new one of a rename.
    var name: [UInt8] {
        unsafe withUnsafeBytes(of: &event.pointee.name) { unsafe Array($0.prefix(Int(event.pointee.length))) }
    }
    /// The name before a rename; empty: it was none.
    var oldName: [UInt8] {
        unsafe withUnsafeBytes(of: &event.pointee.old_name) { unsafe Array($0.prefix(Int(event.pointee.old_length))) }
    }

    /// The object itself, by its handle; `root` is any open object of the same file system.
    func openTarget(_ root: Int32) -> FileDescriptor? { unsafe open(&event.pointee.target, root, O_PATH) }
    /// The folder of ``name``.
    func openFolder(_ root: Int32) -> FileDescriptor? { unsafe open(&event.pointee.folder, root, O_PATH) }
    /// The folder of ``oldName``.
    func openOldFolder(_ root: Int32) -> FileDescriptor? { unsafe open(&event.pointee.old_folder, root, O_PATH) }

    private func open(_ handle: UnsafeMutablePointer<clinux_handle>, _ root: Int32, _ flags: Int32) -> FileDescriptor? {
        let number = unsafe clinux_open_by_handle(root, handle, flags)
        return number >= 0 ? FileDescriptor(owning: number) : nil
    }
}

/// Waits for renames that are under way, and remembers which are over.
@safe final class RenameWait {
    private let listed: UnsafeMutablePointer<clinux_listed_folders>

    init() {
        unsafe listed = .allocate(capacity: 1)
        unsafe listed.initialize(to: clinux_listed_folders())
    }

    deinit { unsafe listed.deallocate() }

    /// Waits for whoever renames something on the way to `path` below `root` at this moment.
    /// - Parameter threshold: changes before are over for sure; nanoseconds since 1970.
    /// - Returns: whether anything on the way had to be waited for; `nil`: it cannot be told.
    func wait(root: Int32, path: borrowing Span<UInt8>, threshold: Int64) -> Bool? {
        let result = unsafe path.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return Int32(0) }
            return unsafe clinux_wait_for_renames(listed, root, start, bytes.count, threshold)
        }
        return result < 0 ? nil : result == 1
    }
}
