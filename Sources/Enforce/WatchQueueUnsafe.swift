import LinuxSystem

/// An inotify instance (inotify(7)).
final class WatchQueue {
    struct Event {
        var watch: Int32
        var mask: UInt32
        /// `nil`: about the watched object itself.
        var name: [UInt8]?

        var isOverflow: Bool { mask & UInt32(IN_Q_OVERFLOW) != 0 }
        /// The kernel has dropped this watch.
        var isEnd: Bool { mask & UInt32(IN_IGNORED) != 0 }
    }

    let descriptor: FileDescriptor
    private var buffer = [UInt8](repeating: 0, count: 16384)

    init() throws(SystemError) {
        do throws(Errno) {
            descriptor = FileDescriptor(
                owning: try kernel { inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)) })
        } catch {
            throw error.doing(
                "making a queue for changes", "inotify_init1", remedy: "raise fs.inotify.max_user_instances")
        }
    }

    /// Watches the very object that is open, by no name that could mean another by now.
    func watch(_ object: Int32, _ mask: UInt32) throws(Errno) -> Int32 {
        try kernel { unsafe inotify_add_watch(descriptor.number, procPath(object), mask) }
    }

    func forget(_ watch: Int32) { inotify_rm_watch(descriptor.number, watch) }

    /// Hands over what is waiting, at most one buffer full. False when nothing was.
    func read(_ take: (Event) -> Void) -> Bool {
        let number = descriptor.number
        let size = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(number, $0.baseAddress, $0.count) }
        guard size > 0 else { return false }
        var events: [Event] = []
        unsafe buffer.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return }
            var offset = 0
            var event = unsafe clinux_watch_event()
            while unsafe clinux_next_watch_event(start, size, &offset, &event) != 0 {
                let name = unsafe event.name.map {
                    unsafe Array(UnsafeBufferPointer(start: $0, count: Int(event.name_length)))
                }
                events.append(unsafe Event(watch: event.watch, mask: event.mask, name: name))
            }
        }
        for event in events { take(event) }
        return true
    }
}
