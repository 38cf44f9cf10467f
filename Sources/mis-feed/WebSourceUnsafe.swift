import CCurl
import CFeed
import Feed
import LinuxSystem
import ThreatPolicy

/// One bundle on a web server, pulled with libcurl. Unsafe: libcurl's handles and callbacks.
@safe final class WebSource {
    private let address: WebAddress
    private let index: Int
    private let desk: DeliveryDesk
    private let credentials: FeedCredentials
    private let interval: Int
    /// Seconds without a byte after which a server is given up.
    private let stall: Int

    /// Milliseconds of the monotonic clock.
    private(set) var due: UInt64 = 0
    private(set) var isRunning = false
    /// What the running pull brings may be older than what was asked for meanwhile.
    private var pullsAgain = false
    private(set) var succeeded = false
    private var retry = RetrySteps()
    let once: Bool
    /// Pulled, or given up: with --once.
    private(set) var isDone = false

    private var handle: UnsafeMutableRawPointer?
    private var lines: UnsafeMutablePointer<curl_slist>?
    private var head: [UInt8] = []
    private var received: ReceivedBytes?
    private var found = Validators()
    private var verdict: Verdict = .open
    private var reason = [CChar](repeating: 0, count: Int(CURL_ERROR_SIZE))

    private enum Verdict: Equatable {
        case open
        /// The file is not wanted, nor when it is asked about again.
        case settled
        case refused
        case failed(String)
    }

    init(
        _ address: WebAddress, index: Int, desk: DeliveryDesk, credentials: FeedCredentials, interval: Int, stall: Int,
        once: Bool
    ) {
        self.address = address
        self.index = index
        self.desk = desk
        self.credentials = credentials
        self.interval = interval
        self.stall = stall
        self.once = once
    }

    deinit {
        unsafe curl_easy_cleanup(handle)
        unsafe curl_slist_free_all(lines)
    }

    func pullNow() {
        due = 0
        pullsAgain = isRunning
    }

    // MARK: A pull

    func start(on multi: UnsafeMutableRawPointer) {
        if unsafe handle == nil { unsafe handle = unsafe curl_easy_init() }
        guard let handle = unsafe handle else { return ended("no memory") }
        head = []
        received = nil
        found = Validators()
        verdict = .open
        isRunning = true
        desk.state(index, .pulling)
        unsafe curl_easy_reset(handle)
        unsafe setLimits(handle)
        unsafe setTrust(handle)
        unsafe curl_slist_free_all(lines)
        unsafe lines = nil
        for line in desk.validators(index).requestLines { unsafe lines = unsafe curl_slist_append(lines, line) }
        unsafe feed_curl_pointer(handle, CURLOPT_HTTPHEADER, lines)
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe feed_curl_receiver(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            guard let context = unsafe context else { return 0 }
            let source = unsafe Unmanaged<WebSource>.fromOpaque(context).takeUnretainedValue()
            return unsafe source.takeBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        unsafe feed_curl_pointer(handle, CURLOPT_WRITEDATA, context)
        unsafe feed_curl_receiver(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            guard let context = unsafe context else { return 0 }
            let source = unsafe Unmanaged<WebSource>.fromOpaque(context).takeUnretainedValue()
            unsafe source.found.take(Array(UnsafeRawBufferPointer(start: bytes, count: min(size * count, 4096))))
            return size * count
        }
        unsafe feed_curl_pointer(handle, CURLOPT_HEADERDATA, context)
        reason[0] = 0
        _ = unsafe reason.withUnsafeMutableBytes {
            unsafe feed_curl_pointer(handle, CURLOPT_ERRORBUFFER, $0.baseAddress)
        }
        unsafe curl_multi_add_handle(multi, handle)
    }

    private func setLimits(_ handle: UnsafeMutableRawPointer) {
        unsafe feed_curl_text(handle, CURLOPT_URL, address.endpoint.text)
        unsafe feed_curl_text(handle, CURLOPT_PROTOCOLS_STR, "https")
        unsafe feed_curl_text(handle, CURLOPT_REDIR_PROTOCOLS_STR, "https")
        unsafe feed_curl_number(handle, CURLOPT_FOLLOWLOCATION, 1)
        unsafe feed_curl_number(handle, CURLOPT_MAXREDIRS, 5)
        unsafe feed_curl_number(handle, CURLOPT_FAILONERROR, 1)
        unsafe feed_curl_number(handle, CURLOPT_NOSIGNAL, 1)
        // A name is looked up on a thread; one that is still at it when the pull is given up is not waited for.
        unsafe feed_curl_number(handle, CURLOPT_QUICK_EXIT, 1)
        unsafe feed_curl_text(handle, CURLOPT_USERAGENT, "mis-feed")
        unsafe feed_curl_number(handle, CURLOPT_CONNECTTIMEOUT_MS, min(stall * 1000, 10_000))
        // Slower than this for so long is stalled; whatever trickles on ends after an hour.
        unsafe feed_curl_number(handle, CURLOPT_LOW_SPEED_LIMIT, 1000)
        unsafe feed_curl_number(handle, CURLOPT_LOW_SPEED_TIME, stall)
        unsafe feed_curl_number(handle, CURLOPT_TIMEOUT, 3600)
        unsafe feed_curl_size(handle, CURLOPT_MAXFILESIZE_LARGE, Int64(BundleKind.base.largestFile))
    }

    private func setTrust(_ handle: UnsafeMutableRawPointer) {
        unsafe feed_curl_number(handle, CURLOPT_SSL_VERIFYPEER, 1)
        unsafe feed_curl_number(handle, CURLOPT_SSL_VERIFYHOST, 2)
        unsafe feed_curl_number(handle, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        if let ca = credentials.ca {
            unsafe feed_curl_text(handle, CURLOPT_CAINFO, ca)
            // Without this the system's authorities would be believed as well.
            unsafe feed_curl_text(handle, CURLOPT_CAPATH, nil)
        }
        if let certificate = credentials.cert, let key = credentials.certKey {
            unsafe feed_curl_text(handle, CURLOPT_SSLCERT, certificate)
            unsafe feed_curl_text(handle, CURLOPT_SSLKEY, key)
        }
    }

    /// - Returns: how much is taken; anything but all of it ends the transfer.
    private func takeBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard verdict == .open, let handle = unsafe handle else { return 0 }
        let status = unsafe feed_curl_status(handle)
        guard status == 200 else {
            verdict = .failed("it answered with status \(status)")
            return 0
        }
        var rest = unsafe bytes
        if received == nil {
            let missing = min(BundleHead.size - head.count, rest.count)
            unsafe head.append(contentsOf: rest.prefix(missing))
            unsafe rest = unsafe UnsafeRawBufferPointer(rebasing: rest.dropFirst(missing))
            guard head.count == BundleHead.size else { return bytes.count }
            guard let made = room() else { return 0 }
            _ = unsafe head.withUnsafeBytes { unsafe made.append($0) }
            received = made
        }
        guard let received, unsafe received.append(rest) else {
            desk.refuse("it is longer than its header says", index)
            verdict = .refused
            return 0
        }
        return bytes.count
    }

    /// Room for the whole, if it is wanted.
    private func room() -> ReceivedBytes? {
        switch desk.judge(head: head, index) {
        case .wanted(let size):
            if let made = ReceivedBytes(capacity: size) { return made }
            verdict = .failed("no memory for \(size) bytes")
        case .known, .older: verdict = .settled
        case .refused: verdict = .refused
        case .later(let why): verdict = .failed(why)
        }
        return nil
    }

    /// The transfer is over.
    func finish(_ result: CURLcode) {
        isRunning = false
        switch verdict {
        case .failed(let why): return ended(why)
        case .settled:
            desk.remember(found, head: head, index)
            return ended(nil)
        case .refused: return ended(nil)
        case .open: break
        }
        guard result == CURLE_OK else { return ended(text(of: result)) }
        let status = unsafe handle.map { unsafe feed_curl_status($0) } ?? 0
        if status == 304 {
            desk.log.say("\(desk.name(index)): not modified", .detail)
            return ended(nil)
        }
        guard status == 200 else { return ended("it answered with status \(status)") }
        guard let received, received.count == received.capacity else {
            guard let received else {
                desk.refuse(BundleError.truncated(head.count).description, index)
                return ended(nil)
            }
            return ended("it ended after \(received.count) of \(received.capacity) bytes")
        }
        guard let bytes = received.take() else { return ended("no memory") }
        switch desk.deliver(bytes, keeping: { bytes }, index) {
        case .taken, .known:
            desk.remember(found, head: head, index)
            ended(nil)
        case .refused: ended(nil)
        case .waiting: schedule(failed: true)
        }
    }

    private func text(of result: CURLcode) -> String {
        let detail = reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let known = unsafe String(cString: curl_easy_strerror(result))
        return detail.isEmpty ? known : String(decoding: detail, as: UTF8.self)
    }

    private func ended(_ why: String?) {
        isRunning = false
        schedule(failed: why != nil)
        if let why {
            let now = Clock.monotonic() / 1_000_000
            desk.failed(index, why, next: isDone ? nil : Int(due > now ? due - now : 0))
        } else {
            succeeded = true
            desk.contact(index, state: .waiting)
        }
    }

    private func schedule(failed: Bool) {
        let wait: Int
        if failed {
            let step = retry.next()
            isDone = once && retry.failures > RetrySteps.first.count
            wait = once ? step : PullSchedule.afterFailure(retry.failures, interval: interval)
        } else {
            retry.reset()
            isDone = once
            wait = PullSchedule.afterSuccess(interval: interval)
        }
        due = pullsAgain ? 0 : Clock.monotonic() / 1_000_000 + UInt64(wait)
        pullsAgain = false
    }

    func isHandle(_ other: UnsafeMutableRawPointer) -> Bool { unsafe handle == other }
}
