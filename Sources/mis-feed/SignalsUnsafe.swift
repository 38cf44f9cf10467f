import CFeed
import LinuxSystem

/// Signals as something to wait for. Unsafe: signal sets.
enum Signals {
    /// Blocks them in this thread and all it starts, and gives a descriptor that tells them.
    static func descriptor(_ numbers: [Int32]) throws(SystemError) -> FileDescriptor {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for number in numbers { unsafe sigaddset(&set, number) }
        // A broker that hangs up is an error of write(2), not the end.
        signal(SIGPIPE, SIG_IGN)
        do throws(Errno) {
            try kernel { unsafe sigprocmask(SIG_BLOCK, &set, nil) }
            return FileDescriptor(owning: try kernel { unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC)) })
        } catch {
            throw error.doing("waiting for signals")
        }
    }

    static func next(_ descriptor: borrowing FileDescriptor) -> Int32? {
        var information = signalfd_siginfo()
        let number = descriptor.number
        let size = MemoryLayout<signalfd_siginfo>.size
        guard unsafe read(number, &information, size) == size else { return nil }
        return Int32(information.ssi_signo)
    }
}

/// The process that reads strangers' bytes is a child: it may crash, and it may want to be started again with a new view of
/// the machine. The parent reads nothing.
enum Keeper {
    /// Returns in each child; in the parent it returns the status to exit with.
    static func keep(_ log: FeedLog) throws(SystemError) -> Int32? {
        let signals = try Signals.descriptor([SIGTERM, SIGINT, SIGHUP, SIGCHLD])
        var crashes = 0
        while true {
            let started = Clock.monotonic()
            let child = feed_fork()
            if child == 0 { return nil }
            guard child > 0 else { throw Errno(errno).doing("starting the process that subscribes") }
            let status = wait(for: child, signals)
            if let signal = status.signal {
                crashes = Clock.monotonic() - started > 60_000_000_000 ? 1 : crashes + 1
                let pause = min(1 << min(crashes - 1, 6), 60)
                log.say("ALERT: the process that subscribes was ended by signal \(signal); again in \(pause) s", .alert)
                if !sleep(seconds: pause, signals) { return 0 }
            } else if status.code == FeedLoop.End.stale.rawValue {
                log.say("the resolver's configuration was replaced: starting again", .detail)
            } else {
                return status.code
            }
        }
    }

    private static func wait(for child: pid_t, _ signals: borrowing FileDescriptor) -> (code: Int32, signal: Int32?) {
        var isEnding = false
        while true {
            var status: Int32 = 0
            if unsafe waitpid(child, &status, WNOHANG) == child {
                let signal = status & 0x7F
                // Ended because we were told to end is an end like any other.
                if signal != 0 { return (isEnding ? 0 : 1, isEnding ? nil : signal) }
                return (status >> 8 & 0xFF, nil)
            }
            guard let number = Signals.next(signals) else { continue }
            if number == SIGTERM || number == SIGINT { isEnding = true }
            if number != SIGCHLD { kill(child, number) }
        }
    }

    /// - Returns: false when it is to end.
    private static func sleep(seconds: Int, _ signals: borrowing FileDescriptor) -> Bool {
        let end = Clock.monotonic() + UInt64(seconds) * 1_000_000_000
        while true {
            let now = Clock.monotonic()
            if now >= end { return true }
            var watched = pollfd(fd: signals.number, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&watched, 1, Int32((end - now) / 1_000_000 + 1)) > 0 else { continue }
            let number = Signals.next(signals)
            if number == SIGTERM || number == SIGINT { return false }
            if number == SIGHUP { return true }
        }
    }
}
