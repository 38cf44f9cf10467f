import LinuxSystem

/// A timer of an event loop. Nothing of the kernel's belongs to it, and it cannot fail: the loop sleeps until the first is due.
final class Timer {
    fileprivate let call: () -> Void
    /// CLOCK_MONOTONIC, ns.
    private(set) var due = UInt64.max
    private var interval: UInt64 = 0
    fileprivate let next: Timer?

    fileprivate init(_ call: @escaping () -> Void, before next: Timer?) {
        self.call = call
        self.next = next
    }

    /// Fires once after `milliseconds`, and then every `interval`; 0: never again. Started once more, what was before is void.
    func start(after milliseconds: Int, every interval: Int = 0) {
        due = Clock.monotonic() + Self.nanoseconds(milliseconds)
        self.interval = Self.nanoseconds(interval)
    }

    /// A century at most, which is as good as never and fits.
    private static func nanoseconds(_ milliseconds: Int) -> UInt64 {
        UInt64(min(max(0, milliseconds), 100 * 365 * 86_400_000)) * 1_000_000
    }

    func stop() { due = .max }

    var isRunning: Bool { due != .max }

    /// What was missed while nobody looked is not made up for.
    fileprivate func fire(_ now: UInt64) {
        due = interval == 0 ? .max : now + interval
        call()
    }
}

/// The timers of a loop. A handful, in a chain: a list of them would be of a type that takes the runtime a while to make.
struct Timers {
    private var first: Timer?

    /// One that runs once it is started. It stays for as long as the loop.
    mutating func make(_ call: @escaping () -> Void) -> Timer {
        let timer = Timer(call, before: first)
        first = timer
        return timer
    }

    /// When the first is due; `.max`: none is.
    private var due: UInt64 {
        var due = UInt64.max
        var timer = first
        while let current = timer {
            due = min(due, current.due)
            timer = current.next
        }
        return due
    }

    /// How long may be slept, as epoll_wait(2) wants it: milliseconds, not too few; -1: for ever.
    func timeout(now: () -> UInt64 = Clock.monotonic) -> Int32 {
        let due = due
        if due == .max { return -1 }
        let now = now()
        return due <= now ? 0 : Int32(clamping: (due - now + 999_999) / 1_000_000)
    }

    /// Calls whose time has come, as long as `goesOn`.
    func fire(now: () -> UInt64 = Clock.monotonic, while goesOn: () -> Bool) {
        let due = due
        if due == .max { return }
        let now = now()
        var timer = first
        while let current = timer, goesOn() {
            if current.due <= now { current.fire(now) }
            timer = current.next
        }
    }
}
