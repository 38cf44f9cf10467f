import CPolicyKey

/// Makes bundles of threats.
public enum BundleBuilder {
    /// What a bundle is to say of itself.
    public struct Description: Sendable {
        public var kind: BundleKind
        public var serial: UInt64
        /// Seconds since 1970.
        public var created: Int64
        public var expires: Int64
        /// At most 64 bytes.
        public var title: String
        public var secret: KeySecret

        public init(
            kind: BundleKind, serial: UInt64, created: Int64, expires: Int64, title: String,
            secret: KeySecret = .random()
        ) {
            self.kind = kind
            self.serial = serial
            self.created = created
            self.expires = expires
            self.title = title
            self.secret = secret
        }
    }

    public enum Failure: Error, Equatable, CustomStringConvertible {
        case tooMany(Int, BundleKind)
        case tooManyShapes(Int)
        case tooLong(PolicyKey)
        case tooLarge(Int)
        case title
        case times
        case serial

        public var description: String {
            switch self {
            case .tooMany(let count, let kind):
                "\(count) keys: a \(kind.label) bundle holds \(kind.capacity) at its promised rate of false positives"
            case .tooManyShapes(let count):
                "\(count) shapes of address ranges (prefix length, with or without port and protocol): each costs "
                    + "a look-up at every connection, and at most \(POLICY_SHAPES) may be; use fewer"
            case .tooLong(let key): "\(key): its texts are longer than 65535 bytes"
            case .tooLarge(let bytes): "\(bytes) bytes: larger than a bundle may be; shorten the reasons"
            case .title: "the title is longer than 64 bytes or holds a NUL"
            case .times: "it would expire before it is made, or after the year 36812, which no bundle can say"
            case .serial: "serial 0: the first is 1, for 0 says that there is none"
            }
        }
    }

    /// The bundle's bytes, unsigned. The same threats and description give the same bytes. Of two entries with one key
    /// the one with the higher score stays.
    ///
    /// A hotfix's filter denies what it hits by chance. Among files and addresses that is one stranger in a thousand; among
    /// the few system calls, families and ioctl types it could be one that everything needs. So the secret is replaced, by one
    /// that follows from it, until none of these is hit that is not listed: four times on average when the filter is full.
    public static func build(_ threats: [Threat], _ about: Description) throws(Failure) -> [UInt8] {
        guard about.title.utf8.count <= BundleHeader.titleSize, !about.title.utf8.contains(0) else { throw .title }
        guard about.created > 0, about.expires > about.created, about.expires < BundleHeader.latest else {
            throw .times
        }
        guard about.serial > 0 else { throw .serial }
        var secret = about.secret
        var order = sorted(threats, secret)
        guard order.count <= about.kind.capacity else { throw .tooMany(order.count, about.kind) }

        var kinds: Set<KeyKind> = []
        var operations: Set<PolicyOperation> = []
        var shapes: Set<AddressShape> = []
        for threat in threats {
            kinds.insert(threat.key.kind)
            operations.insert(threat.key.operation)
            if case .address(let range) = threat.key.value { shapes.insert(range.shape) }
        }
        guard shapes.count <= POLICY_SHAPES else { throw .tooManyShapes(shapes.count) }
        var texts = Texts()
        let records = try texts.records(threats)
        var header = BundleHeader(
            kind: about.kind, serial: about.serial, created: about.created, expires: about.expires,
            secret: secret, entries: order.count, kinds: kinds, operations: operations,
            shapes: shapes.sorted { ($0.prefix, $0.raw.flags) < ($1.prefix, $1.raw.flags) },
            textBytes: texts.bytes.count, title: about.title, digest: Array(repeating: 0, count: 32),
            signer: PolicySignature.PublicKey.none)
        guard header.fileBytes <= about.kind.largestFile else { throw .tooLarge(header.fileBytes) }

        var filter = filter(order, header)
        if header.kind == .hotfix {
            let strangers = numberedStrangers(to: threats, kinds)
            while strangers.contains(where: { holds(filter, header, $0, secret) }) {
                secret = secret.next
                header.secret = secret
                order = sorted(threats, secret)
                filter = Self.filter(order, header)
            }
        }
        var contents = filter
        contents.reserveCapacity(header.fileBytes - BundleHeader.size)
        for item in order {
            append(item.hash.low, to: &contents)
            append(item.hash.high, to: &contents)
        }
        for item in order { append(records[Int(item.index)], to: &contents) }
        contents += texts.bytes
        header.digest = PolicySignature.digest(contents.span)
        return header.encoded() + Array(repeating: 0, count: BundleHeader.size - BundleHeader.signedSize) + contents
    }

    /// Puts `key`'s signature on a bundle, signed before or not.
    public static func sign(_ bundle: [UInt8], by key: PolicySignature.SecretKey) throws(BundleError) -> [UInt8] {
        var header = try Bundle(PolicyBytes(bundle), trust: .anyone).header
        header.signer = key.publicKey
        let signed = header.encoded()
        return signed + key.sign(BundleHeader.signingContext + signed) + bundle[BundleHeader.size...]
    }

    // MARK: Parts

    private static func filter(_ order: [Item], _ header: BundleHeader) -> [UInt8] {
        var bits = [UInt8](repeating: 0, count: header.filterBytes)
        for item in order { unsafe policy_filter_add(&bits, header.bitsLog2, header.hashes, item.hash.key) }
        return bits
    }

    private static func holds(
        _ filter: [UInt8], _ header: BundleHeader, _ key: PolicyKey, _ secret: KeySecret
    ) -> Bool {
        guard let hash = key.hash(secret) else { return false }
        return unsafe policy_filter_holds(filter, header.bitsLog2, header.hashes, hash.key) == 1
    }

    /// Keys of numbers that nobody lists, of the kinds that will be asked about.
    private static func numberedStrangers(to threats: [Threat], _ kinds: Set<KeyKind>) -> [PolicyKey] {
        let known = Set(threats.lazy.map(\.key).filter { $0.kind.numbers > 0 })
        return kinds.flatMap { kind in
            (0..<kind.numbers).compactMap { KeyValue(kind, number: $0).flatMap { PolicyKey(.call, $0) } }
        }
        .filter { !known.contains($0) }
    }

    private struct Item {
        var hash: KeyHash
        var index: UInt32
    }

    /// One item for each key, ascending.
    private static func sorted(_ threats: [Threat], _ secret: KeySecret) -> [Item] {
        var items: [Item] = []
        items.reserveCapacity(threats.count)
        for (index, threat) in threats.enumerated() {
            // A key that is there was hashed when it was made.
            guard let hash = threat.key.hash(secret) else { continue }
            items.append(Item(hash: hash, index: UInt32(index)))
        }
        items.sort { $0.hash != $1.hash ? $0.hash < $1.hash : $0.index < $1.index }
        var unique: [Item] = []
        unique.reserveCapacity(items.count)
        for item in items {
            guard let last = unique.last, last.hash == item.hash else {
                unique.append(item)
                continue
            }
            let known = threats[Int(last.index)].score ?? 0
            if threats[Int(item.index)].score ?? 0 > known { unique[unique.count - 1] = item }
        }
        return unique
    }

    /// Texts, each once where repetition is likely.
    private struct Texts {
        var bytes: [UInt8] = []
        private var known: [String: UInt32] = [:]

        mutating func records(_ threats: [Threat]) throws(Failure) -> [BundleRecord] {
            var records: [BundleRecord] = []
            records.reserveCapacity(threats.count)
            // A rule for any operation is some keys in a row with one value, and one reason.
            var last: (value: KeyValue, offset: UInt32)?
            var lastReason: (text: String, offset: UInt32)?
            for threat in threats {
                let value: UInt32
                if let last, last.value == threat.key.value {
                    value = last.offset
                } else {
                    let start = bytes.count
                    bytes += [0, 0]
                    threat.key.value.append(to: &bytes)
                    value = try seal(start, threat)
                    last = (threat.key.value, value)
                }
                let reason: UInt32
                if let lastReason, lastReason.text == threat.reason {
                    reason = lastReason.offset
                } else {
                    reason = try put(threat.reason, threat)
                    lastReason = (threat.reason, reason)
                }
                var record = BundleRecord(
                    kind: threat.key.kind.rawValue, operation: threat.key.operation.rawValue,
                    score: threat.score ?? BundleRecord.noScore, value: value, reason: reason, cve: BundleRecord.none)
                if let cve = threat.cve { record.cve = try put(cve, threat) }
                records.append(record)
            }
            return records
        }

        private mutating func put(_ text: String, _ threat: Threat) throws(Failure) -> UInt32 {
            if let offset = known[text] { return offset }
            let start = bytes.count
            bytes += [0, 0]
            bytes += text.utf8
            let offset = try seal(start, threat)
            known[text] = offset
            return offset
        }

        /// Writes the length in front of what was appended since `start`.
        private mutating func seal(_ start: Int, _ threat: Threat) throws(Failure) -> UInt32 {
            let length = bytes.count - start - 2
            guard length <= 0xFFFF else { throw .tooLong(threat.key) }
            guard bytes.count < 1 << 31 else { throw .tooLarge(bytes.count) }
            bytes[start] = UInt8(length & 0xFF)
            bytes[start + 1] = UInt8(length >> 8)
            return UInt32(start)
        }
    }

    private static func append(_ word: UInt64, to bytes: inout [UInt8]) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
    }

    private static func append(_ record: BundleRecord, to bytes: inout [UInt8]) {
        append(
            UInt64(record.kind) | UInt64(record.operation) << 8 | UInt64(record.score) << 16
                | UInt64(record.value) << 32, to: &bytes)
        append(UInt64(record.reason) | UInt64(record.cve) << 32, to: &bytes)
        bytes += [0, 0, 0, 0]
    }
}

extension PolicySignature.PublicKey {
    /// Nobody: 32 zeroes, which no signature verifies under (a point of small order, refused by libsodium).
    static let none = PolicySignature.PublicKey(unchecked: [UInt8](repeating: 0, count: 32))

    /// Whether a bundle with this signer is unsigned.
    public var isNone: Bool { self == .none }
}
