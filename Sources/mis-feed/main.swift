import ArgumentParser
import CCurl
import CMosquitto
import Feed
import LinuxSystem
import PolicyFiles
import ThreatPolicy

/// Delivery of the threat policy, apart from mis because mis carries no network code: `mis policy subscribe` and
/// `mis policy publish` start it.
struct MisFeed: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mis-feed", abstract: "Brings the threat policy's bundles to this machine, and to others.",
        subcommands: [Subscribe.self, Publish.self])
}

struct Subscribe: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Put signed bundles into the policy folder.")
    @OptionGroup var options: SubscribeOptions

    func run() throws {
        let log = FeedLog(quiet: options.quiet, verbose: options.verbose)
        guard let path = options.folder else { throw ValidationError("--folder is missing") }
        do {
            throw ExitCode(try subscribe(PolicyFolder(path: path), log))
        } catch let error as SystemError {
            log.say(error.description, .alert)
        } catch let error as PolicyFolderError {
            log.say(error.description, .alert)
        } catch let error as CredentialsError {
            log.say(error.description, .alert)
        }
        throw ExitCode(1)
    }

    private func subscribe(_ policy: PolicyFolder, _ log: FeedLog) throws -> Int32 {
        try policy.make()
        let feed = FeedFolder(policy)
        try feed.make()
        guard let lock = try feed.lock() else {
            log.say("\(feed.path): another mis-feed is at work here", .alert)
            return 1
        }
        // Held until the last of its processes has ended.
        _ = lock.release()
        let password = try Credentials.password(options.credentials)
        try Credentials.check(options.credentials)
        if try policy.trustedKeys().isEmpty {
            log.say("no key is trusted yet, so every bundle will be refused: put one into \(policy.keys)", .alert)
        }
        let client = try feed.clientName()
        if !options.once, let status = try Keeper.keep(log) { return status }

        curl_global_init(Int(CURL_GLOBAL_DEFAULT))
        mosquitto_lib_init()
        let signals = try Signals.descriptor([SIGTERM, SIGINT, SIGHUP])
        let confined = try Confinement.enter(policy: policy, feed: feed, credentials: options.credentials)
        log.say("given up: \(confined.joined(separator: ", "))", .detail)
        let names = options.url.map(\.endpoint.text) + [options.mqtt?.endpoint.text].compactMap { $0 }
        let desk = DeliveryDesk(policy: policy, names: names, confined: confined, log: log)
        let web = options.url.enumerated().map { index, address in
            WebSource(
                address, index: index, desk: desk, credentials: options.credentials,
                interval: options.interval.milliseconds, stall: options.credentials.stallSeconds, once: options.once)
        }
        let broker = options.mqtt.map { address in
            Broker(
                Broker.Settings(
                    address: address, version: options.credentials.mqttVersion, credentials: options.credentials,
                    password: password, client: options.once ? nil : client, topics: options.topic,
                    stall: options.credentials.stallSeconds))
        }
        let loop = FeedLoop(desk: desk, web: web, broker: broker, once: options.once, signals: signals)
        let end = loop.run()
        desk.writeStatus()
        return end.rawValue
    }
}

struct Publish: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Give a signed bundle to a broker, for all who subscribe.")
    @OptionGroup var options: PublishOptions

    func run() throws {
        let log = FeedLog(quiet: options.quiet, verbose: options.verbose)
        do {
            try publish(log)
        } catch let error as SystemError {
            log.say(error.description, .alert)
            throw ExitCode(1)
        } catch let error as CredentialsError {
            log.say(error.description, .alert)
            throw ExitCode(1)
        }
    }

    private func publish(_ log: FeedLog) throws {
        let password = try Credentials.password(options.credentials)
        try Credentials.check(options.credentials)
        let bytes: [UInt8]
        do throws(Errno) {
            let file = try FileDescriptor.open(options.bundle, O_RDONLY)
            guard let all = try file.readAll(limit: BundleKind.base.largestFile) else { throw Errno(EFBIG) }
            bytes = all
        } catch {
            throw error.doing("reading", options.bundle)
        }
        let header: BundleHeader
        do throws(BundleError) {
            header = try Bundle(PolicyBytes(bytes), trust: .anyone).header
        } catch {
            log.say("\(options.bundle): \(error)", .alert)
            throw ExitCode(1)
        }
        guard !header.signer.isNone else {
            log.say("\(options.bundle): it is not signed, so nobody would take it; 'mis policy sign'", .alert)
            throw ExitCode(1)
        }
        mosquitto_lib_init()
        let broker = Broker(
            Broker.Settings(
                address: options.mqtt, version: options.credentials.mqttVersion, credentials: options.credentials,
                password: password, client: nil, topics: [], stall: options.credentials.stallSeconds))
        let publication = Publication(
            broker: broker, bytes: bytes, topic: options.topic ?? "mis/policy/\(header.kind.label)", log: log)
        guard publication.run() else { throw ExitCode(1) }
        log.say("\(options.mqtt.endpoint.text): \(header.kind.label) \(header.serial) published")
    }
}

/// One message, until the broker has it: quality of service 2, with the paper's retry steps.
final class Publication {
    private let broker: Broker
    private let log: FeedLog
    private var isPublished = false
    private var isGivenUp = false

    init(broker: Broker, bytes: [UInt8], topic: String, log: FeedLog) {
        self.broker = broker
        self.log = log
        var isQueued = false
        broker.onReady = { [unowned self] _ in
            // After a new connection libmosquitto sends again what it still has.
            guard !isQueued else { return }
            isQueued = true
            if let why = broker.publish(bytes, to: topic) {
                log.say(why, .alert)
                isGivenUp = true
            }
        }
        broker.onPublished = { [unowned self] in isPublished = true }
        broker.onFailure = { [unowned self] why, next in
            isGivenUp = broker.retry.failures > RetrySteps.first.count
            log.say(
                "\(broker.settings.address.endpoint.text): failed: \(why)"
                    + (isGivenUp ? "" : "; again in \(next / 1000).\(next % 1000 / 100) s"), .alert)
        }
    }

    /// Whether the broker took it.
    func run() -> Bool {
        // The connection notices a broker that is gone; one that is slow gets this long: milliseconds.
        let end = Broker.now + 600_000
        while !isPublished && !isGivenUp && Broker.now < end {
            let events = Int16(POLLIN) | (broker.descriptor >= 0 && broker.wantsToWrite ? Int16(POLLOUT) : 0)
            let answered = Waiting.one(broker.descriptor, events, milliseconds: broker.patience)
            broker.serve(
                readable: answered & ~Int16(POLLOUT) != 0, writable: answered & Int16(POLLOUT) != 0)
        }
        broker.leave()
        return isPublished
    }
}

MisFeed.main()
