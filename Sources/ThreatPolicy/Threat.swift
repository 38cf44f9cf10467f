/// One entry of a list of threats.
public struct Threat: Equatable, Sendable {
    public var key: PolicyKey
    /// One sentence for people.
    public var reason: String
    /// `CVE-2026-1234`
    public var cve: String?
    /// CVSS in tenths, 0 to 100.
    public var score: UInt16?

    public init(key: PolicyKey, reason: String, cve: String? = nil, score: UInt16? = nil) {
        self.key = key
        self.reason = reason
        self.cve = cve
        self.score = score
    }

    /// `9.8`, as it is written.
    public static func scoreText(_ score: UInt16) -> String { "\(score / 10).\(score % 10)" }

    /// Reads `9.8`; `nil` for what is none or above 10.
    public static func score(_ text: some StringProtocol) -> UInt16? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, let whole = UInt16(parts[0]), whole <= 10 else { return nil }
        guard parts.count == 2 else { return whole * 10 }
        guard parts[1].utf8.count == 1, let tenth = UInt16(parts[1]), whole * 10 + tenth <= 100 else { return nil }
        return whole * 10 + tenth
    }
}

extension KeyValue {
    /// The value as a bundle holds it.
    func append(to bytes: inout [UInt8]) {
        func put<Number: FixedWidthInteger>(_ number: Number) {
            for index in 0..<(Number.bitWidth / 8) { bytes.append(UInt8(truncatingIfNeeded: number >> (index * 8))) }
        }
        switch self {
        case .digest(let value), .path(let value), .name(let value): bytes += value
        case .inode(let major, let minor, let inode):
            put(major)
            put(minor)
            put(inode)
        case .address(let range):
            put(range.address.high)
            put(range.address.low)
            put(range.address.port)
            put(range.address.protocolNumber)
            put(range.prefix)
        case .call(let number), .family(let number): put(number)
        case .ioctl(let type): put(type)
        }
    }

    /// The value as a bundle holds it; read back by ``init(_:_:)``.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    /// Reads it back; `nil` for bytes that no value of the kind is written as.
    public init?(_ kind: KeyKind, _ bytes: [UInt8]) {
        func number<Number: FixedWidthInteger>(_ offset: Int) -> Number {
            (0..<(Number.bitWidth / 8)).reduce(Number(0)) {
                $0 | Number(truncatingIfNeeded: bytes[offset + $1]) << ($1 * 8)
            }
        }
        switch kind {
        case .digest: self = .digest(bytes)
        case .path: self = .path(bytes)
        case .name: self = .name(bytes)
        case .inode:
            guard bytes.count == 16 else { return nil }
            self = .inode(major: number(0), minor: number(4), inode: number(8))
        case .address:
            guard bytes.count == 20, bytes[19] <= 128 else { return nil }
            self = .address(
                AddressRange(
                    SocketAddress(high: number(0), low: number(8), port: number(16), protocolNumber: bytes[18]),
                    prefix: bytes[19]))
        case .call, .family:
            guard bytes.count == 4 else { return nil }
            self = kind == .call ? .call(number(0)) : .family(number(0))
        case .ioctl:
            guard bytes.count == 1 else { return nil }
            self = .ioctl(bytes[0])
        }
    }
}
