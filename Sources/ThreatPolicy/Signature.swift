import CSodium

/// Ed25519 (RFC 8032) and BLAKE2b by libsodium. The unsafe calls of this target's cryptography are all here.
public enum PolicySignature {
    /// 32 bytes: who may sign.
    public struct PublicKey: Hashable, Sendable {
        public let bytes: [UInt8]

        public init?(_ bytes: [UInt8]) {
            guard bytes.count == Int(crypto_sign_PUBLICKEYBYTES) else { return nil }
            self.bytes = bytes
        }

        /// 32 bytes, as the caller knows.
        init(unchecked bytes: [UInt8]) { self.bytes = bytes }

        /// One line: `mis-policy-public-key HEX`.
        public var text: String { "mis-policy-public-key \(Hexadecimal.text(bytes))\n" }

        public init?(text: String) {
            guard let bytes = keyBytes(text, "mis-policy-public-key ") else { return nil }
            self.init(bytes)
        }

        /// Short enough for a message.
        public var short: String { Hexadecimal.text(bytes.prefix(8)) }
    }

    /// 32 bytes of seed: what signs.
    public struct SecretKey: Sendable {
        private let seed: [UInt8]

        public init?(seed: [UInt8]) {
            guard seed.count == Int(crypto_sign_SEEDBYTES) else { return nil }
            self.seed = seed
        }

        public static func random() -> SecretKey {
            var seed = [UInt8](repeating: 0, count: Int(crypto_sign_SEEDBYTES))
            unsafe randombytes_buf(&seed, seed.count)
            return SecretKey(checked: seed)
        }

        private init(checked: [UInt8]) { seed = checked }

        /// One line: `mis-policy-secret-key HEX`.
        public var text: String { "mis-policy-secret-key \(Hexadecimal.text(seed))\n" }

        public init?(text: String) {
            guard let seed = keyBytes(text, "mis-policy-secret-key ") else { return nil }
            self.init(seed: seed)
        }

        private func pair() -> (public: [UInt8], secret: [UInt8]) {
            var open = [UInt8](repeating: 0, count: Int(crypto_sign_PUBLICKEYBYTES))
            var secret = [UInt8](repeating: 0, count: Int(crypto_sign_SECRETKEYBYTES))
            unsafe crypto_sign_seed_keypair(&open, &secret, seed)
            return (open, secret)
        }

        public var publicKey: PublicKey { PublicKey(unchecked: pair().public) }

        /// 64 bytes over `message`.
        func sign(_ message: [UInt8]) -> [UInt8] {
            var signature = [UInt8](repeating: 0, count: Int(crypto_sign_BYTES))
            unsafe crypto_sign_detached(&signature, nil, message, UInt64(message.count), pair().secret)
            return signature
        }
    }

    static func isGood(_ signature: [UInt8], of message: [UInt8], by key: PublicKey) -> Bool {
        guard signature.count == Int(crypto_sign_BYTES) else { return false }
        return unsafe crypto_sign_verify_detached(signature, message, UInt64(message.count), key.bytes) == 0
    }

    /// BLAKE2b-256 of a part of a bundle.
    static func digest(_ bytes: PolicyBytes, _ range: Range<Int>) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        unsafe bytes.withPointer(range.lowerBound, range.count) {
            _ = unsafe crypto_generichash(&digest, 32, $0, UInt64(range.count), nil, 0)
        }
        return digest
    }

    /// A number drawn by a text, the same each time: for shares.
    public static func draw(_ text: [UInt8]) -> UInt64 {
        digest(text.span).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    public static func digest(_ bytes: borrowing Span<UInt8>) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        unsafe bytes.withUnsafeBufferPointer {
            _ = unsafe crypto_generichash(&digest, 32, $0.baseAddress, UInt64($0.count), nil, 0)
        }
        return digest
    }
}

private func keyBytes(_ text: String, _ prefix: String) -> [UInt8]? {
    guard text.hasPrefix(prefix) else { return nil }
    var digits = text.dropFirst(prefix.count)
    while digits.last == "\n" || digits.last == "\r" || digits.last == " " { digits = digits.dropLast() }
    return Hexadecimal.bytes(Array(digits.utf8).span)
}
