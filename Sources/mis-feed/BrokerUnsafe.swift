import CMosquitto
import Feed
import LinuxSystem
import ThreatPolicy

/// A connection to an MQTT broker with libmosquitto, served from the outside: nothing blocks. libmosquitto looks the host's
/// name up while it connects, and waits for the answer; so it is asked for only when the resolver has just given one to a
/// thread of ours. Unsafe: libmosquitto's handle and callbacks.
@safe final class Broker {
    struct Settings {
        var address: BrokerAddress
        var version: MQTTVersion
        var credentials: FeedCredentials
        var password: String?
        /// With one, the broker keeps the session: what is published meanwhile waits there.
        var client: String?
        var topics: [String]
        /// Seconds.
        var stall: Int
    }

    enum State: Equatable {
        /// Milliseconds of the monotonic clock, as everywhere here.
        case idle(until: UInt64)
        case connecting(since: UInt64)
        case ready(since: UInt64)
    }

    let settings: Settings
    private(set) var state: State = .idle(until: 0)
    private(set) var retry = RetrySteps()
    /// A message's payload, which is there until the call returns, and a copy for who asks for one.
    var onMessage: (_ payload: PolicyBytes, _ keeping: () -> PolicyBytes?) -> Void = { _, _ in }
    var onReady: (_ isResumed: Bool) -> Void = { _ in }
    var onPublished: () -> Void = {}
    /// Milliseconds until the next try.
    var onFailure: (_ why: String, _ next: Int) -> Void = { _, _ in }

    private var handle: OpaquePointer?
    /// Of the host's name. One that was given up goes on, and is asked again at the next try.
    private var lookup: NameLookup?
    private var isReachable = false
    private var isResumed = false
    private var failure: String?
    private var lastLog: String?

    /// Seconds for which a broker may keep the session of a machine that is away.
    static let sessionExpiry: UInt32 = 7 * 86_400
    /// A connection that held this long was one: milliseconds.
    private static let settled: UInt64 = 10_000
    /// Seconds after which the broker may forget a client that is silent. Not for our own looking: libmosquitto ends a
    /// connection whose answer is queued behind a large message, and would never get that over a slow line.
    private static let keepalive: Int32 = 900
    /// A topic nobody subscribes to. Leaving it is a question any broker answers, and changes nothing.
    private static let unused = "mis/unused"
    /// When bytes last went one way or the other, and when the broker was last asked for a sign of life.
    private var moved: UInt64 = 0
    private var asked: UInt64 = 0

    init(_ settings: Settings) { self.settings = settings }

    deinit { unsafe mosquitto_destroy(handle) }

    // MARK: Being served

    static var now: UInt64 { Clock.monotonic() / 1_000_000 }

    /// What to wait for; -1: no socket.
    var descriptor: Int32 {
        if case .idle = state { return -1 }
        return unsafe mosquitto_socket(handle)
    }

    var wantsToWrite: Bool {
        // While TLS shakes hands a packet is always waiting, and the socket always writable; libmosquitto 2.0.11 knows
        // that, newer ones do not: then the clock drives it.
        if case .connecting = state, isReachable, settings.address.usesTLS { return false }
        return unsafe mosquitto_want_write(handle)
    }

    /// Milliseconds after which to serve it, whatever happens.
    var patience: Int {
        let now = Self.now
        switch state {
        case .idle(let until): return until > now ? Int(until - now) : 0
        case .connecting: return 50
        case .ready: return 1000
        }
    }

    func serve(readable: Bool, writable: Bool) {
        switch state {
        case .idle(let until):
            if Self.now >= until { connect() }
            return
        case .connecting(let since):
            if Self.now - since > UInt64(min(settings.stall * 1000, 10_000)) {
                let still = lookup == nil ? "" : ": its name is being looked up"
                return failed("no answer within \(min(settings.stall, 10)) s\(still)")
            }
        case .ready(let since):
            if retry.failures > 0, Self.now - since > Self.settled { retry.reset() }
            if isSilent() { return failed("it stopped answering") }
        }
        if let lookup {
            switch lookup.answer {
            case .none: return
            case .found: return open()
            case .failed(let why):
                self.lookup = nil
                return failed(why)
            }
        }
        var result: Int32 = 0
        var error: Int32 = 0
        if readable {
            errno = 0
            result = unsafe mosquitto_loop_read(handle, 1)
            error = errno
            moved = Self.now
        }
        if result == 0, failure == nil, writable || (isReachable && !wantsToWrite) {
            isReachable = true
            errno = 0
            if writable { moved = Self.now }
            result = unsafe mosquitto_loop_write(handle, 1)
            error = errno
        }
        if result == 0, failure == nil { result = unsafe mosquitto_loop_misc(handle) }
        if let failure { return failed(failure) }
        if result != 0 { failed(text(of: result, error)) }
    }

    /// Asks who has said nothing for half as long as it may.
    private func isSilent() -> Bool {
        let silence = Self.now - moved
        let limit = UInt64(settings.stall) * 1000
        if silence > limit / 2, asked <= moved {
            asked = Self.now
            unsafe mosquitto_unsubscribe(handle, nil, Self.unused)
        }
        return silence > limit
    }

    /// Tries again at once.
    func hurry() {
        if case .idle = state { state = .idle(until: 0) }
    }

    // MARK: Connecting

    private func connect() {
        failure = nil
        lastLog = nil
        isReachable = false
        state = .connecting(since: Self.now)
        if lookup == nil, !settings.address.endpoint.isNumeric {
            lookup = NameLookup(settings.address.endpoint.host)
        }
        if lookup == nil { open() }
    }

    private func open() {
        lookup = nil
        errno = 0
        var result: Int32
        if unsafe handle == nil {
            result = make()
            if result == 0 {
                errno = 0
                let endpoint = settings.address.endpoint
                result = unsafe mosquitto_connect_bind_async(
                    handle, endpoint.host, Int32(endpoint.port), Self.keepalive, nil)
            }
        } else {
            result = unsafe mosquitto_reconnect_async(handle)
        }
        let error = errno
        // -1: the connection is being made.
        if result > 0 { failed(text(of: result, error)) }
    }

    private func make() -> Int32 {
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe handle = unsafe mosquitto_new(settings.client, settings.client == nil, context)
        guard let handle = unsafe handle else { return Int32(MOSQ_ERR_NOMEM.rawValue) }
        let version = settings.version == .five ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311
        unsafe mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, version)
        unsafe mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1)
        // Each message that is not yet complete is held in memory.
        unsafe mosquitto_int_option(handle, MOSQ_OPT_RECEIVE_MAXIMUM, 2)
        if let user = settings.credentials.user {
            unsafe mosquitto_username_pw_set(handle, user, settings.password)
        }
        if settings.address.usesTLS {
            let credentials = settings.credentials
            // Not MOSQ_OPT_TLS_USE_OS_CERTS: with it libmosquitto 2.0.11 refuses to connect a second time.
            let authorities = credentials.ca ?? Self.systemAuthorities
            let result = unsafe mosquitto_tls_set(
                handle, authorities, nil, credentials.cert, credentials.certKey, nil)
            if result != 0 { return result }
        }
        unsafe setCallbacks(handle)
        guard settings.version == .five, settings.client != nil else { return 0 }
        // libmosquitto connects with properties only while it blocks; without a host it keeps them for the connections
        // that follow, and refuses.
        var properties: OpaquePointer?
        unsafe mosquitto_property_add_int32(
            &properties, Int32(MQTT_PROP_SESSION_EXPIRY_INTERVAL.rawValue), Self.sessionExpiry)
        unsafe mosquitto_property_add_int32(
            &properties, Int32(MQTT_PROP_MAXIMUM_PACKET_SIZE.rawValue), UInt32((256 << 20) - 1))
        let result = unsafe mosquitto_connect_bind_v5(handle, nil, 0, Self.keepalive, nil, properties)
        unsafe mosquitto_property_free_all(&properties)
        return result == Int32(MOSQ_ERR_INVAL.rawValue) ? 0 : Int32(MOSQ_ERR_UNKNOWN.rawValue)
    }

    /// The machine's own list, where distributions keep it.
    private static var systemAuthorities: String {
        let places = [
            "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
            "/etc/ssl/cert.pem",
        ]
        return places.first { (try? FileStatus(of: $0, flags: 0)) != nil } ?? places[0]
    }

    private static func broker(_ context: UnsafeMutableRawPointer?) -> Broker? {
        unsafe context.map { unsafe Unmanaged<Broker>.fromOpaque($0).takeUnretainedValue() }
    }

    private func setCallbacks(_ handle: OpaquePointer) {
        unsafe mosquitto_connect_v5_callback_set(handle) { _, context, code, flags, _ in
            unsafe Broker.broker(context)?.answered(code, isResumed: flags & 1 == 1)
        }
        unsafe mosquitto_disconnect_v5_callback_set(handle) { _, context, code, _ in
            let error = errno
            guard let broker = unsafe Broker.broker(context), broker.failure == nil else { return }
            broker.failure = broker.text(of: code, error)
        }
        unsafe mosquitto_subscribe_v5_callback_set(handle) { _, context, _, count, granted, _ in
            let refused = (0..<Int(count)).contains { unsafe (granted?[$0] ?? 128) >= 128 }
            unsafe Broker.broker(context)?.subscribed(isRefused: refused)
        }
        unsafe mosquitto_message_v5_callback_set(handle) { _, context, message, _ in
            guard let message = unsafe message?.pointee else { return }
            let payload = unsafe UnsafeRawBufferPointer(start: message.payload, count: Int(max(message.payloadlen, 0)))
            guard let broker = unsafe Broker.broker(context) else { return }
            let borrowed = unsafe payload.baseAddress.map { unsafe PolicyBytes(start: $0, count: payload.count) {} }
            broker.onMessage(borrowed ?? PolicyBytes([])) {
                guard let copy = ReceivedBytes(capacity: payload.count), unsafe copy.append(payload) else { return nil }
                return copy.take()
            }
        }
        unsafe mosquitto_publish_v5_callback_set(handle) { _, context, _, code, _ in
            guard let broker = unsafe Broker.broker(context) else { return }
            if code >= 128 {
                broker.failure =
                    unsafe "the broker refused the message: \(String(cString: mosquitto_reason_string(code)))"
            } else {
                broker.onPublished()
            }
        }
        unsafe mosquitto_log_callback_set(handle) { _, context, level, text in
            guard level & (MOSQ_LOG_ERR | MOSQ_LOG_WARNING) != 0, let text = unsafe text else { return }
            unsafe Broker.broker(context)?.lastLog = String(cString: text)
        }
    }

    private func answered(_ code: Int32, isResumed: Bool) {
        guard code == 0 else {
            let isFive = settings.version == .five
            let why = unsafe String(cString: isFive ? mosquitto_reason_string(code) : mosquitto_connack_string(code))
            // 0x84 and 1: it does not speak this version.
            let hint = code == 0x84 || (code == 1 && !isFive) ? "; try --mqtt-version \(isFive ? "3.1.1" : "5")" : ""
            failure = "the broker refused the connection: \(why)\(hint)"
            return
        }
        self.isResumed = isResumed
        guard !settings.topics.isEmpty else { return ready() }
        // Also when the session is resumed: a broker sends what it retained to whoever subscribes, again.
        var topics = unsafe settings.topics.map { unsafe strdup($0) }
        defer { for index in unsafe topics.indices { unsafe free(topics[index]) } }
        let count = Int32(unsafe topics.count)
        let result = unsafe mosquitto_subscribe_multiple(handle, nil, count, &topics, 2, 0, nil)
        if result != 0 { failure = text(of: result, errno) }
    }

    private func subscribed(isRefused: Bool) {
        guard !isRefused else {
            failure = "the broker refused the subscription to \(settings.topics.joined(separator: ", "))"
            return
        }
        ready()
    }

    private func ready() {
        if case .ready = state { return }
        state = .ready(since: Self.now)
        moved = Self.now
        onReady(isResumed)
    }

    private func failed(_ why: String) {
        failure = nil
        let wait = retry.next()
        state = .idle(until: Self.now + UInt64(wait))
        // Half-received messages of a broker that sends more than it may are all in the handle.
        if why.contains("memory") {
            unsafe mosquitto_destroy(handle)
            unsafe handle = nil
        }
        onFailure(why, wait)
    }

    private func text(of code: Int32, _ error: Int32) -> String {
        let log = lastLog.map { " (\($0))" } ?? ""
        if code == Int32(MOSQ_ERR_ERRNO.rawValue) {
            return error == 0 ? "the connection was closed\(log)" : "\(Errno(error))\(log)"
        }
        if code == Int32(MOSQ_ERR_EAI.rawValue) {
            return NameLookup.text(of: error, settings.address.endpoint.host)
        }
        // libmosquitto 2.0.11 has no words for it.
        if code == Int32(MOSQ_ERR_KEEPALIVE.rawValue) { return "it stopped answering" }
        if code >= 128 { return unsafe "the broker ended it: \(String(cString: mosquitto_reason_string(code)))\(log)" }
        return unsafe String(cString: mosquitto_strerror(code)) + log
    }

    // MARK: Publishing

    /// Queues a message, quality of service 2, retained.
    func publish(_ bytes: [UInt8], to topic: String) -> String? {
        let result = unsafe bytes.withUnsafeBytes {
            unsafe mosquitto_publish_v5(handle, nil, topic, Int32($0.count), $0.baseAddress, 2, true, nil)
        }
        return result == 0 ? nil : text(of: result, errno)
    }

    /// Says goodbye, as far as the socket takes it at once.
    func leave() {
        guard case .ready = state else { return }
        unsafe mosquitto_disconnect_v5(handle, 0, nil)
        unsafe mosquitto_loop_write(handle, 1)
        state = .idle(until: .max)
    }
}
