public import ArgumentParser

/// How to prove who one is, and whom to believe: the same for web servers and brokers.
public struct FeedCredentials: ParsableArguments {
    @Option(help: ArgumentHelp("Believe this authority's certificates, and no others.", valueName: "file"))
    public var ca: String?

    @Option(help: ArgumentHelp("A client certificate to show.", valueName: "file"))
    public var cert: String?

    @Option(help: ArgumentHelp("The certificate's key.", valueName: "file"))
    public var certKey: String?

    @Option(help: ArgumentHelp("The name the broker knows us by.", valueName: "name"))
    public var user: String?

    @Option(help: ArgumentHelp("A file whose first line is the broker's password.", valueName: "file"))
    public var passwordFile: String?

    @Option(help: ArgumentHelp("MQTT 5 or 3.1.1.", valueName: "version"))
    public var mqttVersion: MQTTVersion = .five

    @Option(
        help: ArgumentHelp("Give up a server that is silent for so long (5s to 10m).", valueName: "duration"))
    public var stall: FeedInterval = FeedInterval(milliseconds: 30_000)

    public var stallSeconds: Int { stall.milliseconds / 1000 }

    public init() {}

    public mutating func validate() throws {
        if !(5...600).contains(stallSeconds) { throw ValidationError("--stall: 5s to 10m") }
        if (cert == nil) != (certKey == nil) { throw ValidationError("--cert and --cert-key go together") }
        if passwordFile != nil && user == nil { throw ValidationError("--password-file without --user") }
    }
}

public enum MQTTVersion: String, CaseIterable, ExpressibleByArgument, Sendable {
    case five = "5"
    case threeOneOne = "3.1.1"
}

/// `mis policy subscribe`, and mis-feed.
public struct SubscribeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Pull a bundle from here (https). May be given more than once.", valueName: "url"),
        transform: parsing { text throws(EndpointError) in try WebAddress(text) })
    public var url: [WebAddress] = []

    @Option(
        help: ArgumentHelp(
            "Subscribe at this broker: mqtts://HOST[:PORT], or mqtt:// on this machine.", valueName: "url"),
        transform: parsing { text throws(EndpointError) in try BrokerAddress(text) })
    public var mqtt: BrokerAddress?

    @Option(help: ArgumentHelp("A topic to subscribe to; may be given more than once.", valueName: "topic"))
    public var topic: [String] = ["mis/policy/+"]

    @Option(help: ArgumentHelp("How often to pull: 30s, 15m, 1h.", valueName: "duration"))
    public var interval: FeedInterval = FeedInterval(milliseconds: 900_000)

    @Flag(help: "Pull once, take what the broker has retained, and end.")
    public var once = false

    @Option(help: ArgumentHelp("The policy folder; default: the state folder's.", valueName: "dir"))
    public var folder: String?

    @OptionGroup public var credentials: FeedCredentials

    @Flag(name: .shortAndLong, help: "Say only what failed or was refused.")
    public var quiet = false

    @Flag(name: .shortAndLong, help: "Say more.")
    public var verbose = false

    public init() {}

    public mutating func validate() throws {
        if url.isEmpty && mqtt == nil { throw ValidationError("nothing to subscribe to: give --url or --mqtt") }
        if url.count >= FeedStatus.mostSources { throw ValidationError("more than \(FeedStatus.mostSources - 1) URLs") }
        if let folder, !folder.hasPrefix("/") { throw ValidationError("--folder \(folder): not an absolute path") }
        for topic in topic where topic.isEmpty || topic.utf8.count > 1024 {
            throw ValidationError("--topic \"\(topic)\": empty, or too long")
        }
    }
}

/// `mis policy publish`, and mis-feed.
public struct PublishOptions: ParsableArguments {
    @Argument(help: "The signed bundle.")
    public var bundle: String

    @Option(
        help: ArgumentHelp("The broker: mqtts://HOST[:PORT], or mqtt:// on this machine.", valueName: "url"),
        transform: parsing { text throws(EndpointError) in try BrokerAddress(text) })
    public var mqtt: BrokerAddress

    @Option(help: ArgumentHelp("The topic; default: mis/policy/base or mis/policy/hotfix.", valueName: "topic"))
    public var topic: String?

    @OptionGroup public var credentials: FeedCredentials

    @Flag(name: .shortAndLong, help: "Say only what failed.")
    public var quiet = false

    @Flag(name: .shortAndLong, help: "Say more.")
    public var verbose = false

    public init() {}
}

/// An interval between pulls.
public struct FeedInterval: ExpressibleByArgument, Equatable, Sendable {
    public var milliseconds: Int

    public init(milliseconds: Int) { self.milliseconds = milliseconds }

    public init?(argument: String) {
        let units = ["s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
        guard let unit = argument.last.flatMap({ units[String($0)] }), let number = Int(argument.dropLast()),
            (1...1_000_000).contains(number), number * unit <= 30 * 86_400_000
        else { return nil }
        milliseconds = number * unit
    }

    public var defaultValueDescription: String {
        milliseconds % 60_000 == 0 ? "\(milliseconds / 60_000)m" : "\(milliseconds / 1000)s"
    }
}

private func parsing<Value>(
    _ read: @escaping @Sendable (String) throws(EndpointError) -> Value
) -> @Sendable (String) throws -> Value {
    { text in
        do throws(EndpointError) { return try read(text) } catch { throw ValidationError(error.description) }
    }
}
