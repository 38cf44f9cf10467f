@testable import ThreatPolicy

/// The same numbers at each run (SplitMix64).
struct Generator: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

enum Sample {
    static let signer = PolicySignature.SecretKey(seed: Array(0..<32))!
    static let stranger = PolicySignature.SecretKey(seed: Array(1..<33))!
    static let trust = Bundle.Trust.keys([signer.publicKey])
    static let now: Int64 = 1_800_000_000

    /// A key out of a small world, so that lists overlap.
    static func key(_ random: inout Generator) -> PolicyKey {
        let kind = KeyKind.allCases.randomElement(using: &random)!
        let operation = kind.operations.randomElement(using: &random)!
        let number = UInt8.random(in: 0..<40, using: &random)
        let value: KeyValue =
            switch kind {
            case .digest: .digest(Array(repeating: number, count: 32))
            case .path: .path(Array("/usr/lib/part\(number / 8)/file\(number)".utf8))
            case .name: .name(Array("file\(number)".utf8))
            case .inode: .inode(major: 8, minor: UInt32(number % 2), inode: UInt64(number))
            case .address:
                .address(
                    AddressRange(
                        SocketAddress(
                            high: 0, low: 0xFFFF_0A00_0000 | UInt64(number) << 8,
                            port: number % 3 == 0 ? 0 : 443, protocolNumber: number % 2 == 0 ? 6 : 0),
                        prefix: number % 5 == 0 ? 120 : 128))
            case .call: .call(UInt32(number))
            case .family: .family(UInt32(number))
            case .ioctl: .ioctl(number)
            }
        return PolicyKey(operation, value)!
    }

    static func threats(_ keys: some Sequence<PolicyKey>) -> [Threat] {
        keys.map { Threat(key: $0, reason: "known as \($0)", cve: "CVE-2026-1", score: 98) }
    }

    static func bytes(
        _ kind: BundleKind, _ keys: some Sequence<PolicyKey>, serial: UInt64 = 1, seed: UInt64 = 7,
        signer: PolicySignature.SecretKey = signer
    ) throws -> [UInt8] {
        let about = BundleBuilder.Description(
            kind: kind, serial: serial, created: now - 1000, expires: now + 1000, title: "sample",
            secret: KeySecret(low: seed, high: ~seed))
        return try BundleBuilder.sign(try BundleBuilder.build(threats(keys), about), by: signer)
    }

    static func bundle(
        _ kind: BundleKind, _ keys: some Sequence<PolicyKey>, serial: UInt64 = 1, seed: UInt64 = 7
    ) throws -> Bundle {
        try Bundle(PolicyBytes(bytes(kind, keys, serial: serial, seed: seed)), trust: trust)
    }
}
