import LinuxSystem

/// Reads a group's permission events, one at a time, into memory taken once. The unsafe half of ``FanotifyArbiter``.
@safe final class OpenedEvents {
    enum Reading {
        case event
        case nothing
        case failed(Errno)
    }

    private let group: Int32
    private let reader: UnsafeMutablePointer<clinux_event_reader>
    private let opened: UnsafeMutablePointer<clinux_opened>

    init(group: Int32) {
        self.group = group
        unsafe reader = .allocate(capacity: 1)
        unsafe reader.initialize(to: clinux_event_reader())
        unsafe reader.pointee.group = group
        unsafe opened = .allocate(capacity: 1)
        unsafe opened.initialize(to: clinux_opened())
    }

    deinit {
        unsafe reader.deallocate()
        unsafe opened.deallocate()
    }

    /// Moves on to the next event; everything below is about it.
    func next() -> Reading {
        switch unsafe clinux_next_opened(reader, opened) {
        case 0: return .nothing
        case 1: return .event
        default: return .failed(Errno(errno))
        }
    }

    /// Puts an object of our own in the place of an event's, as if somebody had asked about it for `mask`.
    func describe(_ file: borrowing FileDescriptor, for mask: Int32) {
        unsafe clinux_describe_opened(file.number, opened)
        unsafe opened.pointee.mask = UInt64(mask)
        unsafe opened.pointee.thread = 0
    }

    /// The event's descriptor of the object; negative: there is none.
    var event: Int32 { unsafe opened.pointee.fd }
    var mask: UInt64 { unsafe opened.pointee.mask }
    var thread: Int32 { unsafe opened.pointee.thread }
    /// Kind and place are known.
    var isDescribed: Bool { unsafe opened.pointee.error == 0 }
    /// S_IFREG...
    var kind: mode_t { unsafe mode_t(opened.pointee.mode) & mode_t(S_IFMT) }
    var links: UInt64 { unsafe opened.pointee.links }

    var identity: ObjectIdentity {
        unsafe ObjectIdentity(
            deviceMajor: opened.pointee.device_major, deviceMinor: opened.pointee.device_minor,
            inode: opened.pointee.inode)
    }

    /// Where the object lies, as seen inside; empty when it could not be told.
    func withPath<Result>(_ body: (borrowing Span<UInt8>) -> Result) -> Result {
        unsafe body(UnsafeBufferPointer(start: clinux_opened_path(opened), count: Int(opened.pointee.length)).span)
    }

    func answer(allow: Bool) -> Errno? { answer(event, allow: allow) }

    /// Answers an event that was kept.
    func answer(_ event: Int32, allow: Bool) -> Errno? {
        clinux_answer_opened(group, event, allow ? 1 : 0) == 0 ? nil : Errno(errno)
    }

    /// The kernel asks again about all inodes it was told to ignore.
    func forgetIgnored() -> Errno? {
        fanotify_mark(group, UInt32(FAN_MARK_FLUSH), 0, AT_FDCWD, nil) == 0 ? nil : Errno(errno)
    }

    /// The kernel asks no more about the inode, for these kinds of events.
    func ignore(_ mask: UInt64, flags: UInt32) -> Errno? {
        fanotify_mark(group, flags, mask, event, nil) == 0 ? nil : Errno(errno)
    }

    /// What the waiting thread wants of the object, as its registers tell.
    func intent() -> clinux_intent {
        var call = clinux_call()
        guard unsafe clinux_blocked_call(thread, &call) == 0 else { return clinux_intent_unclear }
        return unsafe clinux_open_intent(&call)
    }
}
