import LinuxSystem

/// One epoll set, some timers, and their handlers; runs on the supervisor's thread alone.
final class EventLoop {
    private let epoll: FileDescriptor
    /// A list of functions, or of optional ones, is of a type that takes the runtime longest to make.
    private final class Handler {
        let call: (UInt32) -> Void

        init(_ call: @escaping (UInt32) -> Void) { self.call = call }
    }

    private let nobody = Handler { _ in }
    /// By descriptor.
    private var handlers: [Handler] = []
    private var timers = Timers()
    private var isStopped = false
    /// Until then it looks again and again instead of sleeping.
    private var awakeUntil: UInt64 = 0
    private let mayLinger = clinux_processors() > 1

    /// Nanoseconds: what it costs, in a virtual machine, to put a processor to sleep and wake it. To stay awake for as long as
    /// falling asleep costs is never more than twice as dear as the better of the two.
    private static let linger: UInt64 = 50_000

    init() throws(SystemError) {
        do {
            epoll = FileDescriptor(owning: try kernel { epoll_create1(Int32(O_CLOEXEC)) })
        } catch {
            throw error.doing("making the event loop")
        }
    }

    static let readable = EPOLLIN.rawValue
    static let writable = EPOLLOUT.rawValue

    /// Calls `handler` with the events whenever `descriptor` is ready. A regular file is always ready and cannot be
    /// watched: then nothing happens and the answer is false.
    @discardableResult
    func watch(_ descriptor: Int32, for events: UInt32 = EventLoop.readable, _ handler: @escaping (UInt32) -> Void)
        -> Bool
    {
        var event = unsafe epoll_event()
        unsafe event.events = events
        unsafe event.data.fd = descriptor
        while handlers.count <= Int(descriptor) { handlers.append(nobody) }
        let change = handlers[Int(descriptor)] === nobody ? EPOLL_CTL_ADD : EPOLL_CTL_MOD
        let set = epoll.number
        do {
            try kernel { unsafe epoll_ctl(set, change, descriptor, &event) }
        } catch {
            return false
        }
        handlers[Int(descriptor)] = Handler(handler)
        return true
    }

    func forget(_ descriptor: Int32) {
        guard handlers.indices.contains(Int(descriptor)), handlers[Int(descriptor)] !== nobody else { return }
        handlers[Int(descriptor)] = nobody
        _ = epoll_ctl(epoll.number, EPOLL_CTL_DEL, descriptor, nil)
    }

    /// A timer that calls `handler` whenever it fires; to be started.
    func timer(_ handler: @escaping () -> Void) -> Timer { timers.make(handler) }

    func stop() { isStopped = true }

    /// To be called by handlers behind which somebody waits, who is likely to be back at once.
    func stayAwake() {
        if mayLinger { awakeUntil = Clock.monotonic() + Self.linger }
    }

    private func wait(in set: Int32, _ events: inout [epoll_event]) throws(Errno) -> Int32 {
        while Clock.monotonic() < awakeUntil {
            let count = try kernel { unsafe epoll_wait(set, &events, Int32(events.count), 0) }
            if count > 0 { return count }
            // Whoever could use the processor gets it.
            sched_yield()
        }
        // Worked out anew after an interruption: it may have been a long one.
        return try kernel { unsafe epoll_wait(set, &events, Int32(events.count), timers.timeout()) }
    }

    /// Serves events until ``stop()``.
    func run() {
        var events = unsafe [epoll_event](repeating: epoll_event(), count: 32)
        let set = epoll.number
        while !isStopped {
            let count: Int32
            do {
                count = try unsafe wait(in: set, &events)
            } catch {
                return
            }
            // A handler may forget another's descriptor: looked up one by one.
            for index in 0..<Int(count) where !isStopped {
                unsafe handlers[Int(events[index].data.fd)].call(events[index].events)
            }
            timers.fire { !isStopped }
        }
    }
}
