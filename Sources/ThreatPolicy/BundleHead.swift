/// What the first bytes of a bundle tell, once its signature is checked: enough to know whether the rest is wanted, and
/// how much of it there must be. Whether the rest is what was signed, ``Bundle`` checks.
public struct BundleHead: Equatable, Sendable {
    /// Bytes that are needed.
    public static let size = BundleHeader.size

    public let kind: BundleKind
    public let serial: UInt64
    /// Seconds since 1970.
    public let expires: Int64
    /// Of the whole bundle.
    public let fileBytes: Int

    /// - Parameters:
    ///   - head: at least ``size`` bytes; more are not looked at.
    ///   - trusted: who may have signed.
    public init(_ head: [UInt8], trusted: Set<PolicySignature.PublicKey>) throws(BundleError) {
        guard head.count >= BundleHeader.size else { throw .truncated(head.count) }
        guard head.starts(with: BundleHeader.magic) else { throw .magic }
        let bytes = PolicyBytes(Array(head.prefix(BundleHeader.size)))
        let version: UInt32 = bytes.load(8)
        guard version == BundleHeader.version else { throw .version(version) }
        try Bundle.checkSignature(bytes, trusted)
        guard let kind = BundleKind(rawValue: bytes.load(12)) else { throw .field("kind") }
        self.kind = kind
        serial = bytes.load(16)
        expires = bytes.load(32)
        let length: UInt64 = bytes.load(BundleHeader.fileBytesOffset)
        guard length <= UInt64(kind.largestFile) else { throw .oversized(Int(clamping: length)) }
        guard length >= UInt64(BundleHeader.size) else { throw .field("size") }
        fileBytes = Int(length)
    }
}
