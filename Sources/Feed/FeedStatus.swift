public import JSONText

/// How the delivery goes: the feed writes it, `mis policy status` shows it.
public struct FeedStatus: Equatable, Sendable {
    public enum State: String, Sendable {
        case waiting, pulling, connected, failing, ended
    }

    /// One web address or broker.
    public struct Source: Equatable, Sendable {
        /// Its URL.
        public var name: String
        public var state = State.waiting
        /// Seconds since 1970: when it last answered as it should.
        public var lastContact: Int64?
        /// When it last brought something new.
        public var lastNew: Int64?
        /// Highest serials it brought.
        public var base: UInt64?
        public var hotfix: UInt64?
        /// Bundles that were new, known already, refused.
        public var delivered: UInt64 = 0
        public var known: UInt64 = 0
        public var refused: UInt64 = 0
        /// Contacts that failed: ever, and since the last good one.
        public var failures: UInt64 = 0
        public var failuresInARow: UInt64 = 0
        /// The last failure or refusal, in words.
        public var lastFailure: String?
        public var lastFailureTime: Int64?
        public var validators = Validators()
        /// What the validators stand for: kind's label and serial.
        public var validated: String?

        public init(name: String) { self.name = name }

        // By their names in the file, for reading and writing.
        static var counts: [(String, WritableKeyPath<Source, UInt64>)] {
            [
                ("delivered", \.delivered), ("known", \.known), ("refused", \.refused), ("failures", \.failures),
                ("failures_in_a_row", \.failuresInARow),
            ]
        }
        static var serials: [(String, WritableKeyPath<Source, UInt64?>)] { [("base", \.base), ("hotfix", \.hotfix)] }
        static var times: [(String, WritableKeyPath<Source, Int64?>)] {
            [("last_contact", \.lastContact), ("last_new", \.lastNew), ("last_failure_time", \.lastFailureTime)]
        }
        static var words: [(String, WritableKeyPath<Source, String?>)] {
            [("last_failure", \.lastFailure), ("validated", \.validated)]
        }
    }

    public var sources: [Source] = []
    /// Seconds since 1970.
    public var started: Int64 = 0
    public var updated: Int64 = 0
    /// Bundles that are good and could not be written yet.
    public var waitingForRoom = 0
    /// What the process gave up: `landlock`, `network`, `scopes`, `seccomp`, `capabilities`.
    public var confined: [String] = []

    /// Bytes; a larger file is not read.
    static let largest = 1 << 20
    static let mostSources = 64

    public init() {}

    public var text: [UInt8] {
        var writer = JSONWriter(pretty: true)
        write(to: &writer)
        return writer.bytes + [10]
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("started", started)
            writer.member("updated", updated)
            writer.member("waiting_for_room", waitingForRoom)
            writer.array("confined") { writer in for word in confined { writer.string(word) } }
            writer.array("sources") { writer in
                for source in sources { Self.write(source, &writer) }
            }
        }
    }

    private static func write(_ source: Source, _ writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("source", source.name)
            writer.member("state", source.state.rawValue)
            for (name, time) in Source.times { writer.member(name, source[keyPath: time]) }
            for (name, serial) in Source.serials { writer.member(name, source[keyPath: serial]) }
            for (name, count) in Source.counts { writer.member(name, source[keyPath: count]) }
            for (name, word) in Source.words { writer.member(name, source[keyPath: word]) }
            writer.member("etag", source.validators.entityTag)
            writer.member("last_modified", source.validators.lastModified)
        }
    }

    /// `nil`: it is no status; then the feed begins a new one.
    public init?(_ text: [UInt8]) {
        guard let value = try? JSONReader.read(text, limits: .init(depth: 8, bytes: Self.largest)),
            value.object != nil
        else { return nil }
        started = value["started"]?.int64 ?? 0
        updated = value["updated"]?.int64 ?? 0
        waitingForRoom = value["waiting_for_room"]?.int64.flatMap { Int(exactly: $0) } ?? 0
        confined = (value["confined"]?.array ?? []).compactMap(\.string)
        for entry in (value["sources"]?.array ?? []).prefix(Self.mostSources) {
            guard let name = entry["source"]?.string else { continue }
            var source = Source(name: name)
            source.state = entry["state"]?.string.flatMap(State.init) ?? .waiting
            for (name, time) in Source.times { source[keyPath: time] = entry[name]?.int64 }
            for (name, serial) in Source.serials { source[keyPath: serial] = entry[name]?.uint64 }
            for (name, count) in Source.counts { source[keyPath: count] = entry[name]?.uint64 ?? 0 }
            for (name, word) in Source.words { source[keyPath: word] = entry[name]?.string }
            source.validators = Validators(
                entityTag: entry["etag"]?.string, lastModified: entry["last_modified"]?.string)
            sources.append(source)
        }
    }
}
