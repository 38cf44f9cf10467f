import CPolicyKey

/// Which of the two lists a bundle is.
public enum BundleKind: UInt32, CaseIterable, Sendable {
    /// Known threats; exact keys decide.
    case base = 1
    /// Critical threats; a hit of the filter decides.
    case hotfix = 2

    public var label: String { self == .base ? "base" : "hotfix" }

    public init?(label: String) {
        guard let found = Self.allCases.first(where: { $0.label == label }) else { return nil }
        self = found
    }

    /// The filter has 1 << this many bits.
    public var bitsLog2: UInt32 {
        UInt32(self == .base ? POLICY_BASE_BITS_LOG2 : POLICY_HOTFIX_BITS_LOG2)
    }

    public var hashes: UInt32 {
        UInt32(self == .base ? POLICY_BASE_HASHES : POLICY_HOTFIX_HASHES)
    }

    /// The most keys for which the promised rate of false positives holds: 1 % and 0.1 %.
    public var capacity: Int {
        self == .base ? POLICY_BASE_CAPACITY : POLICY_HOTFIX_CAPACITY
    }

    /// The largest file that is looked at, in bytes.
    public var largestFile: Int { self == .base ? 256 << 20 : 64 << 20 }
}

/// The fixed first part of a bundle. Everything in it is signed; it holds the digest of all that follows.
///
/// Little-endian: magic 8, version 4, kind 4, serial 8, created 8, expires 8, secret 16, bits_log2 4, hashes 4,
/// entries 4, kinds 4, text bytes 8, file bytes 8, shapes 4, operations 4, 16 shapes of 2, title 64, digest 32, zeroes,
/// signer 32 at 416, signature 64 at 448.
public struct BundleHeader: Equatable, Sendable {
    public var kind: BundleKind
    /// Larger than that of every earlier bundle of its kind.
    public var serial: UInt64
    /// Seconds since 1970.
    public var created: Int64
    public var expires: Int64
    public var secret: KeySecret
    public var bitsLog2: UInt32
    public var hashes: UInt32
    public var entries: Int
    public var kinds: Set<KeyKind>
    /// What its keys speak of doing: a tier that cannot tell of one says so only when a bundle has it.
    public var operations: Set<PolicyOperation>
    public var shapes: [AddressShape]
    public var textBytes: Int
    public var title: String
    var digest: [UInt8]
    public var signer: PolicySignature.PublicKey

    static let size = 512
    static let signedSize = 448
    static let signerOffset = 416
    static let titleSize = 64
    static let magic = Array("mispolcy".utf8)
    static let version: UInt32 = 1
    static let signingContext = Array("mis threat policy bundle 1\0".utf8)
    static let fileBytesOffset = 80
    /// No time is later: what is beyond is no time but damage.
    static let latest: Int64 = 1 << 40

    var filterOffset: Int { Self.size }
    /// Bytes of the filter.
    public var filterBytes: Int { 1 << (Int(bitsLog2) - 3) }
    var keysOffset: Int { filterOffset + filterBytes }
    var recordsOffset: Int { keysOffset + 16 * entries }
    var textOffset: Int { recordsOffset + BundleRecord.size * entries }
    var fileBytes: Int { textOffset + textBytes }

    /// The first ``signedSize`` bytes.
    func encoded() -> [UInt8] {
        var bytes = Self.magic
        func put<Number: FixedWidthInteger>(_ number: Number) {
            for index in 0..<(Number.bitWidth / 8) { bytes.append(UInt8(truncatingIfNeeded: number >> (index * 8))) }
        }
        put(Self.version)
        put(kind.rawValue)
        put(serial)
        put(created)
        put(expires)
        put(secret.low)
        put(secret.high)
        put(bitsLog2)
        put(hashes)
        put(UInt32(entries))
        put(Self.mask(kinds))
        put(UInt64(textBytes))
        put(UInt64(fileBytes))
        put(UInt32(shapes.count))
        put(Self.mask(operations))
        for shape in shapes {
            put(shape.raw.prefix)
            put(shape.raw.flags)
        }
        bytes += Array(repeating: 0, count: 2 * (POLICY_SHAPES - shapes.count))
        let name = Array(title.utf8.prefix(Self.titleSize))
        bytes += name + Array(repeating: 0, count: Self.titleSize - name.count)
        bytes += digest
        bytes += Array(repeating: 0, count: Self.signerOffset - bytes.count)
        bytes += signer.bytes
        return bytes
    }

    /// Reads the fields. Total: any bytes give a header or an error. The caller has checked the signature.
    init(_ bytes: PolicyBytes) throws(BundleError) {
        guard let kind = BundleKind(rawValue: bytes.load(12)) else { throw .field("kind") }
        self.kind = kind
        serial = bytes.load(16)
        created = bytes.load(24)
        expires = bytes.load(32)
        guard serial > 0 else { throw .field("serial") }
        guard created > 0, expires > created, expires < Self.latest else { throw .field("times") }
        secret = KeySecret(low: bytes.load(40), high: bytes.load(48))
        bitsLog2 = bytes.load(56)
        hashes = bytes.load(60)
        guard bitsLog2 == kind.bitsLog2, hashes == kind.hashes else { throw .field("filter's parameters") }
        let count: UInt32 = bytes.load(64)
        guard Int(count) <= kind.capacity else { throw .field("number of keys") }
        entries = Int(count)
        // A bit that means nothing is found by the comparison below.
        let kinds: Set<KeyKind> = Self.members(bytes.load(68))
        let operations: Set<PolicyOperation> = Self.members(bytes.load(92))
        guard kinds.allSatisfy({ !operations.isDisjoint(with: $0.operations) }),
            operations.isSubset(of: kinds.flatMap(\.operations))
        else { throw .field("kinds and operations") }
        self.kinds = kinds
        self.operations = operations
        let text: UInt64 = bytes.load(72)
        guard text <= UInt64(kind.largestFile) else { throw .field("size of the texts") }
        textBytes = Int(text)
        let shapeCount: UInt32 = bytes.load(88)
        guard shapeCount <= POLICY_SHAPES else { throw .field("address shapes") }
        shapes = []
        for index in 0..<Int(shapeCount) {
            let raw = policy_shape(prefix: bytes.load(96 + 2 * index), flags: bytes.load(97 + 2 * index))
            guard raw.prefix <= 128, raw.flags <= 3 else { throw .field("address shapes") }
            shapes.append(AddressShape(raw))
        }
        let name = bytes.bytes(128..<(128 + Self.titleSize)).prefix { $0 != 0 }
        guard let title = String(validating: name, as: UTF8.self) else { throw .field("title") }
        self.title = title
        digest = bytes.bytes(192..<224)
        guard let signer = PolicySignature.PublicKey(bytes.bytes(Self.signerOffset..<Self.signedSize)) else {
            throw .field("signer")
        }
        self.signer = signer
        guard fileBytes == bytes.count else { throw .field("sizes of the parts") }
        // One bundle, one text: what a later version may use must be zero now.
        guard encoded() == bytes.bytes(0..<Self.signedSize) else { throw .field("unused fields") }
    }

    private static func mask<Member: RawRepresentable<UInt8>>(_ members: Set<Member>) -> UInt32 {
        members.reduce(0) { $0 | 1 << UInt32($1.rawValue) }
    }

    private static func members<Member: RawRepresentable<UInt8> & CaseIterable>(_ mask: UInt32) -> Set<Member> {
        Set(Member.allCases.filter { mask >> UInt32($0.rawValue) & 1 == 1 })
    }

    /// Kind and serial as the first bytes of a file say, which nobody has verified.
    public static func peek(_ head: [UInt8]) -> (kind: BundleKind, serial: UInt64)? {
        guard head.count >= 24, head.starts(with: magic) else { return nil }
        let bytes = PolicyBytes(head)
        guard let kind = BundleKind(rawValue: bytes.load(12)) else { return nil }
        return (kind, bytes.load(16))
    }

    init(
        kind: BundleKind, serial: UInt64, created: Int64, expires: Int64, secret: KeySecret, entries: Int,
        kinds: Set<KeyKind>, operations: Set<PolicyOperation>, shapes: [AddressShape], textBytes: Int, title: String,
        digest: [UInt8],
        signer: PolicySignature.PublicKey
    ) {
        self.kind = kind
        self.serial = serial
        self.created = created
        self.expires = expires
        self.secret = secret
        bitsLog2 = kind.bitsLog2
        hashes = kind.hashes
        self.entries = entries
        self.kinds = kinds
        self.operations = operations
        self.shapes = shapes
        self.textBytes = textBytes
        self.title = title
        self.digest = digest
        self.signer = signer
    }
}

/// One key's particulars: 20 bytes, offsets into the texts.
struct BundleRecord {
    var kind: UInt8
    var operation: UInt8
    /// In tenths; 0xFFFF: none.
    var score: UInt16
    var value: UInt32
    var reason: UInt32
    /// 0xFFFFFFFF: none.
    var cve: UInt32
    var unused: UInt32 = 0

    static let size = 20
    static let none: UInt32 = 0xFFFF_FFFF
    static let noScore: UInt16 = 0xFFFF
}
