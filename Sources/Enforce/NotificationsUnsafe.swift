import LinuxSystem

/// Receives and answers seccomp notifications (seccomp_unotify(2)), one at a time, in memory taken once. The unsafe half
/// of ``SystemCallObserver``.
@safe final class Notifications {
    enum Reading {
        case call
        case nothing
        case failed(Errno)
    }

    let listener: FileDescriptor
    private let request: UnsafeMutableRawPointer
    private let response: UnsafeMutableRawPointer
    private let requestSize: Int
    private let responseSize: Int
    private let path: UnsafeMutablePointer<UInt8>

    init(listener: consuming FileDescriptor) throws(Errno) {
        var sizes = seccomp_notif_sizes()
        try kernel { unsafe clinux_seccomp_notification_sizes(&sizes) }
        // A newer kernel may write more than our headers know.
        requestSize = max(Int(sizes.seccomp_notif), MemoryLayout<seccomp_notif>.size)
        responseSize = max(Int(sizes.seccomp_notif_resp), MemoryLayout<seccomp_notif_resp>.size)
        unsafe request = .allocate(byteCount: requestSize, alignment: 16)
        unsafe response = .allocate(byteCount: responseSize, alignment: 16)
        unsafe path = .allocate(capacity: Int(clinux_caller_path_size))
        // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (Linux 6.6): hands the processor over to whoever the answer wakes. Slower
        // without, and nothing else.
        _ = clinux_ioctl_int(listener.number, clinux_seccomp_set_flags, 1)
        self.listener = listener
    }

    deinit {
        unsafe request.deallocate()
        unsafe response.deallocate()
        unsafe path.deallocate()
    }

    private var received: seccomp_notif { unsafe request.load(as: seccomp_notif.self) }

    /// Moves on to the next call; everything below is about it.
    func next() -> Reading {
        // Receiving waits when there is nothing, whatever O_NONBLOCK says: ask first. With one reader, what poll
        // promised stays (or is withdrawn, which receiving answers with ENOENT).
        var question = pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0)
        let ready = unsafe poll(&question, 1, 0)
        guard ready > 0, question.revents & Int16(POLLIN) != 0 else { return .nothing }
        while true {
            // The kernel insists on zeroes.
            unsafe request.initializeMemory(as: UInt8.self, repeating: 0, count: requestSize)
            if unsafe clinux_ioctl_pointer(listener.number, clinux_seccomp_receive, request) == 0 { return .call }
            let error = Errno(errno)
            switch error.code {
            case EINTR: continue
            case ENOENT: return .nothing
            default: return .failed(error)
            }
        }
    }

    var number: Int32 { received.data.nr }
    /// The thread, in our pid namespace; 0: it cannot be seen from here.
    var thread: Int32 { Int32(bitPattern: received.pid) }

    func argument(_ index: Int) -> UInt64 {
        let arguments = received.data.args
        switch index {
        case 0: return arguments.0
        case 1: return arguments.1
        case 2: return arguments.2
        case 3: return arguments.3
        case 4: return arguments.4
        default: return arguments.5
        }
    }

    /// The thread still waits for this very answer: what was read from its memory was its own, and not that of
    /// another process that got its number.
    var isWaiting: Bool {
        var id = received.id
        return unsafe clinux_ioctl_pointer(listener.number, clinux_seccomp_id_valid, &id) == 0
    }

    /// - Parameter error: errno for the caller; `nil`: the call goes on.
    /// - Returns: what the kernel said; ENOENT when nobody waits any more.
    func answer(error: Int32?) -> Errno? {
        unsafe response.initializeMemory(as: UInt8.self, repeating: 0, count: responseSize)
        var answer = seccomp_notif_resp()
        answer.id = received.id
        if let error {
            answer.error = -error
        } else {
            answer.flags = UInt32(SECCOMP_USER_NOTIF_FLAG_CONTINUE)
        }
        unsafe response.storeBytes(of: answer, as: seccomp_notif_resp.self)
        while unsafe clinux_ioctl_pointer(listener.number, clinux_seccomp_send, response) != 0 {
            if errno != EINTR { return Errno(errno) }
        }
        return nil
    }

    /// The path the caller means, from its arguments; `body` gets `nil` when it cannot be read.
    func withPath<Result>(directory: Int8, at argument: Int8, _ body: (borrowing Span<UInt8>) -> Result) -> Result? {
        let folder = directory < 0 ? AT_FDCWD : Int32(truncatingIfNeeded: self.argument(Int(directory)))
        let length = unsafe clinux_caller_path(thread, folder, self.argument(Int(argument)), path)
        guard length >= 0, isWaiting else { return nil }
        return unsafe body(UnsafeBufferPointer(start: path, count: length).span)
    }

    /// A string argument of the caller, for messages.
    func string(_ argument: Int, limit: Int = 256) -> [UInt8]? {
        let address = self.argument(argument)
        guard address != 0 else { return nil }
        let length = unsafe clinux_read_string(thread, address, path, min(limit, Int(clinux_path_size)))
        guard length >= 0, isWaiting else { return nil }
        return unsafe Array(UnsafeBufferPointer(start: path, count: length))
    }

    /// The first word of a structure an argument points to.
    func word(_ argument: Int) -> UInt64? {
        var word: UInt64 = 0
        guard unsafe clinux_read_word(thread, self.argument(argument), &word) == 0, isWaiting else { return nil }
        return word
    }

    /// Whether the place exists inside; `nil`: it cannot be told.
    func exists(_ place: borrowing Span<UInt8>) -> Bool? {
        let answer = unsafe place.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return Int32(-1) }
            return unsafe clinux_exists_inside(thread, start, bytes.count)
        }
        return answer < 0 ? nil : answer == 1
    }
}
