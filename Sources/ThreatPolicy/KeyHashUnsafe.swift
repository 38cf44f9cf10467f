import CPolicyKey

/// A key's 128 bits under one filter's secret.
public struct KeyHash: Hashable, Comparable, Sendable {
    public var low: UInt64
    public var high: UInt64

    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    init(_ key: policy_key) { self.init(low: key.low, high: key.high) }

    var key: policy_key { policy_key(low: low, high: high) }

    public static func < (left: KeyHash, right: KeyHash) -> Bool {
        left.low != right.low ? left.low < right.low : left.high < right.high
    }
}

/// The 128 bits a filter's keys are hashed under; see docs/policy.md on why each has its own.
public struct KeySecret: Hashable, Sendable {
    public var low: UInt64
    public var high: UInt64

    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    /// A new one from the kernel's random numbers.
    public static func random() -> KeySecret {
        var source = SystemRandomNumberGenerator()
        return KeySecret(low: source.next(), high: source.next())
    }

    /// The one that takes its place: as random as this one is.
    var next: KeySecret {
        let digest = PolicySignature.digest((Array("mis policy secret".utf8) + bytes).span)
        return KeySecret(bytes: Array(digest.prefix(16))) ?? .random()
    }

    /// 16 bytes, the low word first, each word's lowest byte first.
    public var bytes: [UInt8] {
        [low, high].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) } }
    }

    /// `nil` for anything but 16 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        func word(_ part: ArraySlice<UInt8>) -> UInt64 { part.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        self.init(low: word(bytes[..<8]), high: word(bytes[8...]))
    }

    private func with<Result>(_ body: (UnsafePointer<UInt64>) -> Result) -> Result {
        var pair = (low, high)
        return unsafe withUnsafeBytes(of: &pair) { unsafe body($0.assumingMemoryBound(to: UInt64.self).baseAddress!) }
    }

    // MARK: Keys under this secret, by bpf/policy_key.h. Unsafe: pointers of spans, for the length of a call.

    /// - Parameter digest: 32 bytes; `nil` for any other length.
    func digest(_ digest: borrowing Span<UInt8>, _ operation: PolicyOperation) -> KeyHash? {
        guard digest.count == 32 else { return nil }
        return unsafe digest.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return nil }
            return unsafe with { unsafe KeyHash(policy_digest_bytes_key($0, operation.number, start)) }
        }
    }

    /// - Returns: `nil` for what is no absolute, lexically normal path.
    func path(_ path: borrowing Span<UInt8>, _ operation: PolicyOperation) -> KeyHash? {
        var key = policy_key()
        let isPath = unsafe path.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return false }
            return unsafe with { unsafe policy_path_key($0, operation.number, start, bytes.count, &key) == 1 }
        }
        return isPath ? KeyHash(key) : nil
    }

    func name(_ name: borrowing Span<UInt8>, _ operation: PolicyOperation) -> KeyHash? {
        var key = policy_key()
        let isName = unsafe name.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return false }
            return unsafe with { unsafe policy_name_key($0, operation.number, start, bytes.count, &key) == 1 }
        }
        return isName ? KeyHash(key) : nil
    }

    func inode(_ major: UInt32, _ minor: UInt32, _ inode: UInt64, _ operation: PolicyOperation) -> KeyHash {
        unsafe with { unsafe KeyHash(policy_inode_key($0, operation.number, major, minor, inode)) }
    }

    func address(_ address: SocketAddress, _ shape: AddressShape, _ operation: PolicyOperation) -> KeyHash {
        var words = (address.high.bigEndian, address.low.bigEndian)
        return unsafe with { secret in
            unsafe withUnsafeBytes(of: &words) {
                unsafe KeyHash(
                    policy_address_key(
                        secret, operation.number, $0.assumingMemoryBound(to: UInt64.self).baseAddress!,
                        UInt32(address.port), UInt32(address.protocolNumber), shape.raw))
            }
        }
    }

    func number(_ kind: KeyKind, _ number: UInt64, architecture: UInt32 = 0) -> KeyHash {
        unsafe with { unsafe KeyHash(policy_number_key($0, UInt32(kind.rawValue), number, architecture)) }
    }
}
