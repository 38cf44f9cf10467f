import CPolicyKey

/// A list of threats in one file: header, filter, keys in order, their records, texts. Verified when there is one.
///
///     header    512 bytes, signed (``BundleHeader``)
///     filter    2 MB or 512 KB, bits as in bpf/policy_key.h
///     keys      16 bytes each, ascending by their two words
///     records   20 bytes each, in the keys' order (``BundleRecord``)
///     texts     values, reasons, CVEs: two bytes of length, then the bytes
///
/// Nothing is copied out of the file: a look-up reads where it lies.
public final class Bundle: Sendable {
    public let header: BundleHeader
    private let bytes: PolicyBytes

    /// Who may have signed.
    public enum Trust: Sendable {
        case keys(Set<PolicySignature.PublicKey>)
        /// Nobody has to: for tools that look at a bundle, or sign it. Its contents must be whole all the same.
        case anyone
    }

    /// Takes a bundle in. The signature is checked before anything is interpreted but magic, version and length.
    /// - Parameter isStored: the bytes lie in a place only we write to, after they were checked: then what follows the
    ///   header is not hashed again.
    public init(_ bytes: PolicyBytes, trust: Trust, isStored: Bool = false) throws(BundleError) {
        guard bytes.count >= BundleHeader.size else { throw .truncated(bytes.count) }
        guard bytes.count <= BundleKind.base.largestFile else { throw .oversized(bytes.count) }
        guard bytes.bytes(0..<8) == BundleHeader.magic else { throw .magic }
        let version: UInt32 = bytes.load(8)
        guard version == BundleHeader.version else { throw .version(version) }
        let length: UInt64 = bytes.load(BundleHeader.fileBytesOffset)
        guard length == UInt64(bytes.count) else { throw .length(said: length, found: bytes.count) }
        if case .keys(let trusted) = trust { try Self.checkSignature(bytes, trusted) }
        header = try BundleHeader(bytes)
        guard bytes.count <= header.kind.largestFile else { throw .oversized(bytes.count) }
        if !isStored {
            let digest = PolicySignature.digest(bytes, BundleHeader.size..<bytes.count)
            guard digest == header.digest else { throw .contents }
        }
        self.bytes = bytes
    }

    static func checkSignature(
        _ bytes: PolicyBytes, _ trusted: Set<PolicySignature.PublicKey>
    ) throws(BundleError) {
        let signerBytes = bytes.bytes(BundleHeader.signerOffset..<BundleHeader.signedSize)
        guard let signer = PolicySignature.PublicKey(signerBytes), trusted.contains(signer) else {
            throw .unknownSigner(Hexadecimal.text(signerBytes.prefix(8)))
        }
        let message = BundleHeader.signingContext + bytes.bytes(0..<BundleHeader.signedSize)
        let signature = bytes.bytes(BundleHeader.signedSize..<BundleHeader.size)
        guard PolicySignature.isGood(signature, of: message, by: signer) else { throw .signature }
    }

    /// Whether it may come into force now.
    /// - Parameter serial: of the one in force; 0: none is.
    public func check(kind: BundleKind? = nil, now: Int64, after serial: UInt64) throws(BundleError) {
        if let kind, header.kind != kind { throw .wrongKind(header.kind) }
        guard header.expires > now else { throw .expired(header.expires) }
        guard header.serial > serial else { throw .older(serial: header.serial, than: serial) }
    }

    /// 32 bytes that name this very file.
    public var identity: [UInt8] { PolicySignature.digest(bytes, 0..<BundleHeader.size) }

    /// The whole file.
    public func withBytes<Result>(_ body: (borrowing Span<UInt8>) -> Result) -> Result {
        bytes.with(0..<bytes.count, body)
    }

    /// The filter's bits, as they go into the kernel.
    public func withFilter<Result>(_ body: (borrowing Span<UInt8>) -> Result) -> Result {
        bytes.with(header.filterOffset..<header.keysOffset, body)
    }

    /// The filter's bits: 2 MB of a base, 512 KB of a hotfix.
    public var filterBits: [UInt8] { bytes.bytes(header.filterOffset..<header.keysOffset) }

    /// The exact keys, 16 bytes each.
    var keyBytes: [UInt8] { bytes.bytes(header.keysOffset..<(header.keysOffset + 16 * header.entries)) }

    // MARK: Look-ups

    /// Whether the filter holds the key: always yes when it was put in, and now and then when it was not.
    @inline(__always)
    public func filterHolds(_ key: KeyHash) -> Bool {
        unsafe bytes.withPointer(header.filterOffset, header.filterBytes) {
            unsafe policy_filter_holds($0, header.bitsLog2, header.hashes, key.key) == 1
        }
    }

    /// Some standard deviations of a place among a million.
    private static let nearby = 2048

    /// The key's place among the exact keys; `nil`: it is none of them.
    public func place(of key: KeyHash) -> Int? {
        var low = 0
        var high = header.entries
        // Keys are spread evenly: it lies near where its first word says, nearly always within these bounds.
        let guess = Int(truncatingIfNeeded: key.low.multipliedFullWidth(by: UInt64(high)).high)
        let near = (max(guess - Self.nearby, 0), min(guess + Self.nearby, high - 1))
        if near.0 < near.1 {
            if self.key(at: near.0) <= key { low = near.0 }
            if key <= self.key(at: near.1) { high = near.1 + 1 }
        }
        while low < high {
            let middle = (low + high) / 2
            let found = self.key(at: middle)
            if found == key { return middle }
            if found < key { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    public func key(at place: Int) -> KeyHash {
        let offset = header.keysOffset + 16 * place
        return KeyHash(low: bytes.load(offset), high: bytes.load(offset + 8))
    }

    /// What is known of a key; `nil` when the record makes no sense, which a bundle that was built here never has.
    public func threat(at place: Int) -> Threat? {
        guard place >= 0, place < header.entries else { return nil }
        let offset = header.recordsOffset + BundleRecord.size * place
        guard let kind = KeyKind(rawValue: bytes.load(offset)),
            let operation = PolicyOperation(rawValue: bytes.load(offset + 1)),
            let value = text(bytes.load(offset + 4)).flatMap({ KeyValue(kind, $0) }),
            let key = PolicyKey(operation, value),
            let reason = text(bytes.load(offset + 8)).flatMap({ String(validating: $0, as: UTF8.self) })
        else { return nil }
        let score: UInt16 = bytes.load(offset + 2)
        let cve: UInt32 = bytes.load(offset + 12)
        return Threat(
            key: key, reason: reason,
            cve: cve == BundleRecord.none ? nil : text(cve).flatMap { String(validating: $0, as: UTF8.self) },
            score: score == BundleRecord.noScore ? nil : score)
    }

    private func text(_ offset: UInt32) -> [UInt8]? {
        let start = header.textOffset + Int(offset)
        guard start + 2 <= bytes.count else { return nil }
        let length: UInt16 = bytes.load(start)
        guard start + 2 + Int(length) <= bytes.count else { return nil }
        return bytes.bytes((start + 2)..<(start + 2 + Int(length)))
    }

    /// Looks at every key: its record says the same, the order is right, the filter holds it, the header's summary is
    /// true. For tools; a signed bundle need not be looked at so by those who trust its signer.
    public func checkConsistency() throws(BundleError) {
        var kinds: Set<KeyKind> = []
        var operations: Set<PolicyOperation> = []
        var shapes: Set<AddressShape> = []
        var last: KeyHash?
        var filter = [UInt8](repeating: 0, count: header.filterBytes)
        for place in 0..<header.entries {
            let hash = key(at: place)
            if let last, last >= hash { throw .inconsistent(entry: place, "it is out of order") }
            last = hash
            guard let threat = threat(at: place) else { throw .inconsistent(entry: place, "its record is no key") }
            guard threat.key.hash(header.secret) == hash else {
                throw .inconsistent(entry: place, "its record says \(threat.key), which is another key")
            }
            guard filterHolds(hash) else { throw .inconsistent(entry: place, "the filter does not hold it") }
            unsafe policy_filter_add(&filter, header.bitsLog2, header.hashes, hash.key)
            kinds.insert(threat.key.kind)
            operations.insert(threat.key.operation)
            if case .address(let range) = threat.key.value { shapes.insert(range.shape) }
        }
        guard kinds == header.kinds, operations == header.operations, shapes == Set(header.shapes) else {
            throw .field("kinds, operations or address shapes")
        }
        // A hotfix denies by its filter alone: each bit more is strangers denied.
        guard filter == filterBits else { throw .strangeBits }
    }
}
