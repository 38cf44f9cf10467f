import CCurl
import CFeed
import Feed
import LinuxSystem

/// One thread that serves everything: signals, pulls, the broker, bundles that wait for room. Unsafe: libcurl's poll.
final class FeedLoop {
    /// How it ended.
    enum End: Int32 {
        case clean = 0
        case failed = 1
        /// The machine's resolver was set up anew, in a file that this process may not read: to be started again.
        case stale = 75
    }

    private let desk: DeliveryDesk
    private let web: [WebSource]
    private let broker: Broker?
    private let brokerIndex: Int
    private let once: Bool
    private let signals: FileDescriptor
    private let resolver = FeedLoop.resolverIdentity()
    private var nextWrite: UInt64 = 0
    /// With --once: when the broker may be left.
    private var brokerQuiet: UInt64?
    private var brokerDone = false
    private var brokerSucceeded = false

    /// With --once a broker that sends nothing for so long has sent what it retained: milliseconds.
    private static let quiet: UInt64 = 1500

    init(desk: DeliveryDesk, web: [WebSource], broker: Broker?, once: Bool, signals: consuming FileDescriptor) {
        self.desk = desk
        self.web = web
        self.broker = broker
        brokerIndex = web.count
        self.once = once
        self.signals = signals
        brokerDone = broker == nil
        connectCallbacks()
    }

    private func connectCallbacks() {
        guard let broker else { return }
        let index = brokerIndex
        broker.onReady = { [unowned self] isResumed in
            desk.contact(index, state: .connected)
            desk.log.say("\(desk.name(index)): connected\(isResumed ? ", the session goes on" : "")")
            brokerQuiet = Broker.now + Self.quiet
            brokerSucceeded = true
        }
        broker.onFailure = { [unowned self] why, next in
            brokerSucceeded = false
            brokerDone = once && broker.retry.failures > RetrySteps.first.count
            desk.failed(index, why, next: brokerDone ? nil : next)
        }
        broker.onMessage = { [unowned self] payload, keeping in
            brokerQuiet = Broker.now + Self.quiet
            // How a retained message is taken back.
            guard payload.count > 0 else { return desk.log.say("\(desk.name(index)): an empty message", .detail) }
            if case .waiting = desk.deliver(payload, keeping: keeping, index) { return }
            desk.contact(index, state: .connected)
        }
    }

    func run() -> End {
        guard let multi = unsafe curl_multi_init() else {
            desk.log.say("libcurl cannot be started", .alert)
            return .failed
        }
        defer { unsafe curl_multi_cleanup(multi) }
        while true {
            if !once, Self.resolverIdentity() != resolver { return .stale }
            let now = Broker.now
            for source in web where !source.isRunning && !source.isDone && source.due <= now {
                unsafe source.start(on: multi)
            }
            desk.writeStatus()
            if once, isDone { return end() }
            guard let signal = unsafe wait(multi) else { continue }
            switch signal {
            case SIGHUP:
                desk.log.say("SIGHUP: pulling now")
                for source in web { source.pullNow() }
                broker?.hurry()
            default:
                desk.log.say("ended by a signal", .detail)
                broker?.leave()
                for index in web.indices { desk.state(index, .ended) }
                if broker != nil { desk.state(brokerIndex, .ended) }
                desk.writeStatus()
                return .clean
            }
        }
    }

    private var isDone: Bool {
        if let quiet = brokerQuiet, brokerSucceeded, Broker.now > quiet { brokerDone = true }
        return web.allSatisfy(\.isDone) && brokerDone
    }

    private func end() -> End {
        broker?.leave()
        let isGood =
            web.allSatisfy(\.succeeded) && (broker == nil || brokerSucceeded) && !desk.hasRefused && !desk.isWaiting
        return isGood ? .clean : .failed
    }

    /// Waits for anything, and serves it.
    /// - Returns: a signal that came.
    private func wait(_ multi: UnsafeMutableRawPointer) -> Int32? {
        var watched = [curl_waitfd(fd: signals.number, events: Int16(CURL_WAIT_POLLIN), revents: 0)]
        var timeout = 60_000
        let now = Broker.now
        for source in web where !source.isRunning && !source.isDone {
            timeout = min(timeout, source.due > now ? Int(source.due - now) : 0)
        }
        if let broker, !brokerDone {
            timeout = min(timeout, broker.patience)
            if broker.descriptor >= 0 {
                let writing = broker.wantsToWrite ? CURL_WAIT_POLLOUT : 0
                watched.append(
                    curl_waitfd(fd: broker.descriptor, events: Int16(CURL_WAIT_POLLIN | writing), revents: 0))
            }
        }
        if once { timeout = min(timeout, 100) }
        if desk.isWaiting { timeout = min(timeout, nextWrite > now ? Int(nextWrite - now) : 0) }
        unsafe curl_multi_poll(multi, &watched, UInt32(watched.count), Int32(timeout), nil)

        var running: Int32 = 0
        unsafe curl_multi_perform(multi, &running)
        var result = CURLE_OK
        while let handle = unsafe feed_curl_finished(multi, &result) {
            unsafe curl_multi_remove_handle(multi, handle)
            web.first { unsafe $0.isHandle(handle) }?.finish(result)
        }
        if let broker, !brokerDone {
            let events = watched.count > 1 ? Int32(watched[1].revents) : 0
            broker.serve(readable: events & CURL_WAIT_POLLIN != 0, writable: events & CURL_WAIT_POLLOUT != 0)
        }
        if desk.isWaiting, Broker.now >= nextWrite {
            if nextWrite != 0 { desk.writeWaiting() }
            nextWrite = desk.isWaiting ? Broker.now + UInt64(DeliveryDesk.retrySeconds * 1000) : 0
        }
        return watched[0].revents != 0 ? Signals.next(signals) : nil
    }

    /// Which file the resolver reads: one that is put in its place is another.
    private static func resolverIdentity() -> ObjectIdentity? {
        try? FileStatus(of: "/etc/resolv.conf", flags: 0).identity
    }
}
