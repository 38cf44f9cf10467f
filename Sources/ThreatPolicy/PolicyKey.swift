import CPolicyKey

/// What a key speaks of (`enum policy_kind` in bpf/policy_key.h).
public enum KeyKind: UInt8, CaseIterable, Sendable {
    case digest = 1
    case path, name, inode, address, call, family, ioctl

    /// As it is written in front of a value: `digest:...`.
    public var label: String {
        switch self {
        case .digest: "digest"
        case .path: "path"
        case .name: "name"
        case .inode: "inode"
        case .address: "address"
        case .call: "call"
        case .family: "family"
        case .ioctl: "ioctl"
        }
    }

    public init?(label: String) {
        guard let found = Self.allCases.first(where: { $0.label == label }) else { return nil }
        self = found
    }

    /// The operations that can be told of a key of this kind; "any operation" is a key for each.
    public var operations: [PolicyOperation] {
        switch self {
        case .digest: [.execute]
        case .path, .name, .inode: [.execute, .read, .write]
        case .address: [.connect, .bind]
        case .call, .family, .ioctl: [.call]
        }
    }

    /// How many numbers a kind has that is one of few, the kernel's own; 0: there is no end to it. Beyond these are none.
    public var numbers: UInt32 {
        switch self {
        case .digest, .path, .name, .inode, .address: 0
        case .call: 1024
        case .family: 64
        case .ioctl: 256
        }
    }
}

/// What is done (`enum policy_operation` in bpf/policy_key.h).
public enum PolicyOperation: UInt8, CaseIterable, Sendable {
    /// Execution, or mapping for execution.
    case execute = 1
    case read
    /// Opening for writing, creating, renaming, linking, removing.
    case write
    /// Connecting, or sending without having connected.
    case connect
    case bind
    /// A system call, a socket made, an ioctl.
    case call

    public var label: String {
        switch self {
        case .execute: "execute"
        case .read: "read"
        case .write: "write"
        case .connect: "connect"
        case .bind: "bind"
        case .call: "call"
        }
    }

    public init?(label: String) {
        guard let found = Self.allCases.first(where: { $0.label == label }) else { return nil }
        self = found
    }

    var number: UInt32 { UInt32(rawValue) }
}

/// An address somebody wants to reach, IPv4 as `::ffff:a.b.c.d`, in host order.
public struct SocketAddress: Hashable, Sendable {
    public var high: UInt64
    public var low: UInt64
    public var port: UInt16
    public var protocolNumber: UInt8

    public init(high: UInt64, low: UInt64, port: UInt16 = 0, protocolNumber: UInt8 = 0) {
        self.high = high
        self.low = low
        self.port = port
        self.protocolNumber = protocolNumber
    }
}

/// What a kind of address range looks at: so many bits, with or without port and protocol.
public struct AddressShape: Hashable, Sendable {
    /// 0 to 128; of an IPv4 range 96 more than is written.
    public var prefix: UInt8
    public var hasPort: Bool
    public var hasProtocol: Bool

    public init(prefix: UInt8, hasPort: Bool, hasProtocol: Bool) {
        self.prefix = prefix
        self.hasPort = hasPort
        self.hasProtocol = hasProtocol
    }

    init(_ raw: policy_shape) {
        self.init(
            prefix: raw.prefix, hasPort: raw.flags & UInt8(POLICY_SHAPE_PORT.rawValue) != 0,
            hasProtocol: raw.flags & UInt8(POLICY_SHAPE_PROTOCOL.rawValue) != 0)
    }

    var raw: policy_shape {
        var flags: UInt8 = 0
        if hasPort { flags |= UInt8(POLICY_SHAPE_PORT.rawValue) }
        if hasProtocol { flags |= UInt8(POLICY_SHAPE_PROTOCOL.rawValue) }
        return policy_shape(prefix: prefix, flags: flags)
    }
}

/// A range of addresses: a prefix, with a port and a protocol, 0 meaning any.
public struct AddressRange: Hashable, Sendable {
    /// The address, with no bit set behind the prefix.
    public let address: SocketAddress
    public let prefix: UInt8

    /// Bits behind the prefix are cleared. `prefix` above 128 counts as 128.
    public init(_ address: SocketAddress, prefix: UInt8) {
        var cut = address
        let bits = Int(min(prefix, 128))
        if bits <= 64 {
            cut.low = 0
            cut.high &= bits == 0 ? 0 : ~UInt64(0) << UInt64(64 - bits)
        } else {
            cut.low &= ~UInt64(0) << UInt64(128 - bits)
        }
        self.address = cut
        self.prefix = UInt8(bits)
    }

    /// Whether an address is in the range.
    public func holds(_ other: SocketAddress) -> Bool {
        let cut = AddressRange(other, prefix: prefix).address
        return cut.high == address.high && cut.low == address.low
            && (address.port == 0 || address.port == other.port)
            && (address.protocolNumber == 0 || address.protocolNumber == other.protocolNumber)
    }

    public var shape: AddressShape {
        AddressShape(prefix: prefix, hasPort: address.port != 0, hasProtocol: address.protocolNumber != 0)
    }
}

/// The value of a key.
public enum KeyValue: Hashable, Sendable {
    /// 32 bytes, SHA-256.
    case digest([UInt8])
    /// Absolute and lexically normal, as the sandbox sees it.
    case path([UInt8])
    /// 1 to 255 bytes without a slash.
    case name([UInt8])
    case inode(major: UInt32, minor: UInt32, inode: UInt64)
    case address(AddressRange)
    /// Of x86-64.
    case call(UInt32)
    case family(UInt32)
    case ioctl(UInt8)

    /// - Returns: `nil` for a number that the kind does not have.
    public init?(_ kind: KeyKind, number: UInt32) {
        guard number < kind.numbers else { return nil }
        switch kind {
        case .call: self = .call(number)
        case .family: self = .family(number)
        case .ioctl: self = .ioctl(UInt8(truncatingIfNeeded: number))
        case .digest, .path, .name, .inode, .address: return nil
        }
    }

    public var kind: KeyKind {
        switch self {
        case .digest: .digest
        case .path: .path
        case .name: .name
        case .inode: .inode
        case .address: .address
        case .call: .call
        case .family: .family
        case .ioctl: .ioctl
        }
    }
}

/// A key: what is done to what.
public struct PolicyKey: Hashable, Sendable {
    public let operation: PolicyOperation
    public let value: KeyValue

    public var kind: KeyKind { value.kind }

    /// AUDIT_ARCH_X86_64.
    static let architecture: UInt32 = 0xC000_003E

    /// - Returns: `nil` when the operation is none of the kind's, or the value is not what its kind wants.
    public init?(_ operation: PolicyOperation, _ value: KeyValue) {
        guard value.kind.operations.contains(operation) else { return nil }
        self.operation = operation
        self.value = value
        guard hash(KeySecret(low: 0, high: 0)) != nil else { return nil }
    }

    /// The key's 128 bits under a filter's secret.
    public func hash(_ secret: KeySecret) -> KeyHash? {
        switch value {
        case .digest(let digest): secret.digest(digest.span, operation)
        case .path(let path): path.contains(0) ? nil : secret.path(path.span, operation)
        case .name(let name): name.contains(0) || name.contains(47) ? nil : secret.name(name.span, operation)
        case .inode(let major, let minor, let inode): secret.inode(major, minor, inode, operation)
        case .address(let range): secret.address(range.address, range.shape, operation)
        case .call(let number): secret.number(.call, UInt64(number), architecture: Self.architecture)
        case .family(let number): secret.number(.family, UInt64(number))
        case .ioctl(let type): secret.number(.ioctl, UInt64(type))
        }
    }
}
