import CSodium
import JSONText

/// SHA-256 (FIPS 180-4) over bytes that arrive in pieces; the arithmetic is libsodium's.
///
/// The unsafe calls of this target's hashing are all here.
public struct SHA256: ~Copyable {
    private var state: crypto_hash_sha256_state

    /// Starts a new digest.
    public init() {
        state = crypto_hash_sha256_state()
        _ = unsafe crypto_hash_sha256_init(&state)
    }

    /// Takes in more bytes.
    public mutating func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { part in
            guard let base = part.baseAddress else { return }
            _ = unsafe crypto_hash_sha256_update(&state, base, UInt64(part.count))
        }
    }

    /// The digest of everything taken in.
    public consuming func finish() -> Digest {
        var digest = Digest()
        unsafe digest.withMutablePointer { _ = unsafe crypto_hash_sha256_final(&state, $0) }
        return digest
    }

    /// The digest of bytes that are all there.
    public static func digest(of bytes: Span<UInt8>) -> Digest {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finish()
    }

    /// The 32 bytes of a SHA-256; held in place, so that a line costs no allocation.
    public struct Digest: Sendable, Equatable {
        public private(set) var bytes = InlineArray<32, UInt8>(repeating: 0)

        fileprivate init() {}

        fileprivate mutating func withMutablePointer(_ body: (UnsafeMutablePointer<UInt8>) -> Void) {
            var span = bytes.mutableSpan
            unsafe span.withUnsafeMutableBufferPointer { buffer in
                if let base = buffer.baseAddress { unsafe body(base) }
            }
        }

        /// Reads 64 hexadecimal digits; `nil` for anything else.
        init?(hexadecimal digits: Span<UInt8>) {
            guard digits.count == 64, let values = Hexadecimal.bytes(of: digits) else { return nil }
            for (index, value) in values.enumerated() { bytes[index] = value }
        }

        /// 64 lower-case hexadecimal digits.
        public var text: String {
            var digits: [UInt8] = []
            Hexadecimal.append(bytes.span, to: &digits)
            return String(decoding: digits, as: UTF8.self)
        }

        public static func == (left: Digest, right: Digest) -> Bool {
            for index in left.bytes.indices where left.bytes[index] != right.bytes[index] { return false }
            return true
        }
    }
}
