/// What is wrong with a key's text.
public struct KeyTextError: Error, Equatable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}

/// Keys as people write them: `[OPERATION ]KIND:VALUE`, for example `execute path:/usr/bin/nc`, `digest:HEX`,
/// `connect address:tcp/192.0.2.0/24:443`.
public enum KeyText {
    /// Names of system calls to their numbers, for those who have the table.
    public typealias CallNumbers = (String) -> UInt32?

    /// The keys a text stands for: one, or one for each operation when none is named.
    public static func parse(_ text: String, calls: CallNumbers = { _ in nil }) throws(KeyTextError) -> [PolicyKey] {
        var rest = Substring(text)
        var operation: PolicyOperation?
        if let space = text.firstIndex(of: " "), let named = PolicyOperation(label: String(text[..<space])) {
            operation = named
            rest = text[text.index(after: space)...]
        }
        guard let colon = rest.firstIndex(of: ":"),
            let kind = KeyKind.allCases.first(where: { $0.label == rest[..<colon] })
        else {
            throw KeyTextError(
                "\"\(text)\" is no key: write KIND:VALUE with a kind of "
                    + KeyKind.allCases.map(\.label).joined(separator: ", "))
        }
        return try keys(kind, String(rest[rest.index(after: colon)...]), operation, calls: calls)
    }

    /// The keys of a kind, a value and an operation (`nil`: any) that were read apart.
    public static func keys(
        _ kind: KeyKind, _ value: String, _ operation: PolicyOperation?, calls: CallNumbers = { _ in nil }
    ) throws(KeyTextError) -> [PolicyKey] {
        let parsed = try parse(kind, value, calls: calls)
        if let operation, !kind.operations.contains(operation) {
            throw KeyTextError(
                "\(kind.label) keys know no operation \"\(operation.label)\", but: "
                    + kind.operations.map(\.label).joined(separator: ", "))
        }
        let keys = (operation.map { [$0] } ?? kind.operations).compactMap { PolicyKey($0, parsed) }
        guard !keys.isEmpty else { throw KeyTextError("\"\(value)\" is no \(kind.label)\(hint(kind))") }
        return keys
    }

    private static func hint(_ kind: KeyKind) -> String {
        switch kind {
        case .path: ": write it absolute, without \"//\", \"/./\" and an ending slash"
        case .name: ": 1 to 255 bytes without a slash"
        default: ""
        }
    }

    private static func parse(_ kind: KeyKind, _ value: String, calls: CallNumbers) throws(KeyTextError) -> KeyValue {
        switch kind {
        case .digest:
            let digits = value.hasPrefix("sha256:") ? String(value.dropFirst(7)) : value
            guard let bytes = Hexadecimal.bytes(digits.utf8.span), bytes.count == 32 else {
                throw KeyTextError("\"\(value)\" is no SHA-256: 64 hexadecimal digits are due")
            }
            return .digest(bytes)
        case .path:
            let parts = value.utf8.split(separator: 47)
            guard !parts.contains(where: { $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) }) else {
                throw KeyTextError("\"\(value)\" has a part \".\" or \"..\": write the path it leads to")
            }
            return .path(Array(value.utf8))
        case .name: return .name(Array(value.utf8))
        case .inode:
            let parts = value.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 3, let major = UInt32(parts[0]), let minor = UInt32(parts[1]),
                let inode = UInt64(parts[2])
            else { throw KeyTextError("\"\(value)\" is no inode: write MAJOR:MINOR:INODE as stat(1) prints them") }
            return .inode(major: major, minor: minor, inode: inode)
        case .address: return .address(try AddressText.parse(value))
        case .call:
            guard let number = UInt32(value) ?? calls(value) else {
                throw KeyTextError("\"\(value)\" is no system call of x86-64")
            }
            return .call(number)
        case .family:
            guard let number = UInt32(value) ?? SocketFamilyName.number(value), number < 64 else {
                throw KeyTextError("\"\(value)\" is no address family: write AF_PACKET or its number")
            }
            return .family(number)
        case .ioctl:
            let utf8 = Array(value.utf8)
            if utf8.count == 1, !(48...57).contains(utf8[0]) { return .ioctl(utf8[0]) }
            let number = value.hasPrefix("0x") ? UInt8(value.dropFirst(2), radix: 16) : UInt8(value)
            guard let number else { throw KeyTextError("\"\(value)\" is no ioctl type: write a letter or 0x54") }
            return .ioctl(number)
        }
    }

    /// `KIND:VALUE`, as ``parse(_:calls:)`` reads it; bytes that are not UTF-8 are repaired, so for people only.
    public static func text(_ value: KeyValue) -> String {
        let text: String =
            switch value {
            case .digest(let bytes): Hexadecimal.text(bytes)
            case .path(let bytes), .name(let bytes): String(decoding: bytes, as: UTF8.self)
            case .inode(let major, let minor, let inode): "\(major):\(minor):\(inode)"
            case .address(let range): AddressText.text(range)
            case .call(let number), .family(let number): "\(number)"
            case .ioctl(let type): "\(type)"
            }
        return "\(value.kind.label):\(text)"
    }
}

extension PolicyKey: CustomStringConvertible {
    /// `execute path:/usr/bin/nc`
    public var description: String { "\(operation.label) \(KeyText.text(value))" }
}

/// Address families by name: those a policy may speak of (socket(2)).
enum SocketFamilyName {
    private static let numbers: [(name: String, number: UInt32)] = [
        ("AF_UNIX", 1), ("AF_INET", 2), ("AF_AX25", 3), ("AF_IPX", 4), ("AF_APPLETALK", 5), ("AF_NETROM", 6),
        ("AF_X25", 9), ("AF_INET6", 10), ("AF_ROSE", 11), ("AF_KEY", 15), ("AF_NETLINK", 16), ("AF_PACKET", 17),
        ("AF_RDS", 21), ("AF_PPPOX", 24), ("AF_LLC", 26), ("AF_IB", 27), ("AF_CAN", 29), ("AF_TIPC", 30),
        ("AF_BLUETOOTH", 31), ("AF_RXRPC", 33), ("AF_IEEE802154", 36), ("AF_ALG", 38), ("AF_NFC", 39),
        ("AF_VSOCK", 40), ("AF_KCM", 41), ("AF_QIPCRTR", 42), ("AF_SMC", 43), ("AF_XDP", 44), ("AF_MCTP", 45),
    ]

    static func number(_ name: String) -> UInt32? { numbers.first { $0.name == name }?.number }
}

/// Hexadecimal digits.
public enum Hexadecimal {
    public static func text(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digit(byte >> 4))
            text.append(digit(byte & 15))
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 48 + value : 87 + value }

    /// `nil` when it is not digits in pairs.
    public static func bytes(_ digits: borrowing Span<UInt8>) -> [UInt8]? {
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        for index in 0..<(digits.count / 2) {
            guard let high = value(digits[2 * index]), let low = value(digits[2 * index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 48...57: digit - 48
        case 97...102: digit - 87
        case 65...70: digit - 55
        default: nil
        }
    }
}
