/// An entry of the whitelist: what is known to be good, who says so, and until when.
public struct WhitelistEntry: Equatable, Sendable {
    /// One for each operation it was said for; of one value.
    public var keys: [PolicyKey]
    public var reason: String
    public var author: String
    /// Seconds since 1970.
    public var expires: Int64
    /// Where it is written, for messages: `whitelist.toml:12`.
    public var origin: String

    public init(keys: [PolicyKey], reason: String, author: String, expires: Int64, origin: String) {
        self.keys = keys
        self.reason = reason
        self.author = author
        self.expires = expires
        self.origin = origin
    }
}

/// W: the entries, to be looked up under a secret of this process's own, so that nobody can make a key that collides.
public struct Whitelist: Sendable {
    public let entries: [WhitelistEntry]
    let scope: KeyScope
    private let places: [KeyHash: Int]

    public init(_ entries: [WhitelistEntry], secret: KeySecret = .random()) {
        self.entries = entries
        var places: [KeyHash: Int] = [:]
        var kinds: Set<KeyKind> = []
        var shapes: [AddressShape] = []
        for (place, entry) in entries.enumerated() {
            for key in entry.keys {
                guard let hash = key.hash(secret) else { continue }
                // Of two entries for one key, the one that lasts longer counts.
                if let other = places[hash], entries[other].expires >= entry.expires { continue }
                places[hash] = place
                kinds.insert(key.kind)
                if case .address(let range) = key.value, !shapes.contains(range.shape) { shapes.append(range.shape) }
            }
        }
        self.places = places
        scope = KeyScope(secret: secret, kinds: kinds, shapes: shapes)
    }

    /// The keys that are excused at `now`.
    func keys(now: Int64) -> [KeyHash] { places.filter { entries[$0.value].expires > now }.map(\.key) }

    /// 32 bytes that name what is excused at `now`, whoever asks: nothing of the secret is in them.
    public func identity(now: Int64) -> [UInt8] {
        var lines: Set<String> = []
        for entry in entries where entry.expires > now { for key in entry.keys { lines.insert("\(key)\n") } }
        let text = lines.sorted().flatMap(\.utf8)
        return PolicySignature.digest(text.span)
    }

    /// When the next of the entries that hold at `now` stops doing so; `nil`: none does.
    public func nextExpiry(after now: Int64) -> Int64? { entries.map(\.expires).filter { $0 > now }.min() }

    /// The entry that excuses a key.
    func place(of key: KeyHash, now: Int64) -> Int? {
        guard let place = places[key], entries[place].expires > now else { return nil }
        return place
    }

    /// 8 bytes in hexadecimal that change with every entry: the whitelist's version in a report. `nil`: it is empty.
    public var version: String? {
        guard !entries.isEmpty else { return nil }
        var text: [UInt8] = []
        for entry in entries {
            for key in entry.keys { text += Array("\(key)\n".utf8) }
            text += Array("\(entry.expires)\n".utf8)
        }
        return Hexadecimal.text(PolicySignature.digest(text.span).prefix(8))
    }
}

/// What a set of keys can be asked: which kinds are in it, and under which secret.
public struct KeyScope: Sendable {
    public let secret: KeySecret
    private let mask: UInt16
    public let shapes: [AddressShape]

    init(secret: KeySecret, kinds: Set<KeyKind>, shapes: [AddressShape]) {
        self.secret = secret
        mask = kinds.reduce(0) { $0 | 1 << UInt16($1.rawValue) }
        self.shapes = shapes
    }

    public func has(_ kind: KeyKind) -> Bool { mask >> UInt16(kind.rawValue) & 1 == 1 }
}
