import CBpf

/// What a rule grants on an object and all below it. No rights: denied.
public struct Rights: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let read = Rights(rawValue: ARBITER_READ.rawValue)
    /// Content, attributes, and entries made, removed and renamed below.
    public static let write = Rights(rawValue: ARBITER_WRITE.rawValue)
    /// Start it, or map it as code.
    public static let execute = Rights(rawValue: ARBITER_EXECUTE.rawValue)
    /// Connect to a unix socket that somebody outside listens on.
    public static let connect = Rights(rawValue: ARBITER_CONNECT.rawValue)
}

/// A rule about a name rather than an object: `**/.env`, or a path below a folder that need not exist yet.
public struct NameRule: Sendable, Equatable {
    /// The parts of the name, first to last: at most 4, each at most 63 bytes, without wildcards.
    public var parts: [String]
    /// An O_PATH descriptor of the folder the name starts in; nil: anywhere.
    public var anchor: Int32?
    public var rights: Rights
    /// The profile's number for the rule, told back in events.
    public var rule: UInt32

    public init(parts: [String], anchor: Int32?, rights: Rights, rule: UInt32) {
        self.parts = parts
        self.anchor = anchor
        self.rights = rights
        self.rule = rule
    }
}

/// A rule about an object: the very inode `descriptor` (O_PATH) stands for, whatever it is or will be called.
public struct ObjectRule: Sendable, Equatable {
    public var descriptor: Int32
    public var rights: Rights
    public var rule: UInt32

    public init(descriptor: Int32, rights: Rights, rule: UInt32) {
        self.descriptor = descriptor
        self.rights = rights
        self.rule = rule
    }
}

/// A rule about an address, longest prefix first.
public struct AddressRule: Sendable, Equatable {
    /// 16 bytes; IPv4 as ::ffff:a.b.c.d.
    public var address: [UInt8]
    /// Bits of `address` that count, 0 to 128.
    public var prefix: UInt32
    public var ports: ClosedRange<UInt16>
    public var allowed: Bool
    public var rule: UInt32

    public init(address: [UInt8], prefix: UInt32, ports: ClosedRange<UInt16>, allowed: Bool, rule: UInt32) {
        self.address = address
        self.prefix = prefix
        self.ports = ports
        self.allowed = allowed
        self.rule = rule
    }
}

/// What a sandbox may do, as the kernel is told it.
public struct SandboxPolicy: Sendable, Equatable {
    public struct Flags: OptionSet, Sendable, Hashable {
        public let rawValue: UInt32

        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// Denials are reported, not made.
        public static let learn = Flags(rawValue: ARBITER_LEARN.rawValue)
        /// What is allowed goes to the trace ring.
        public static let trace = Flags(rawValue: ARBITER_TRACE.rawValue)
        /// Tasks of the sandbox may attach to each other.
        public static let ptrace = Flags(rawValue: ARBITER_ALLOW_PTRACE.rawValue)
        public static let userNamespaces = Flags(rawValue: ARBITER_ALLOW_USERNS.rawValue)
        public static let mounts = Flags(rawValue: ARBITER_ALLOW_MOUNT.rawValue)
        /// Start code that has no name: memfds and deleted files.
        public static let namelessCode = Flags(rawValue: ARBITER_ALLOW_MEMFD_EXEC.rawValue)
        /// No memory that is both writable and code.
        public static let refuseWritableCode = Flags(rawValue: ARBITER_REFUSE_WRITE_EXECUTE.rawValue)
        /// Any internet address no rule speaks of.
        public static let internet = Flags(rawValue: ARBITER_ALLOW_INET.rawValue)
        public static let ioUring = Flags(rawValue: ARBITER_ALLOW_IO_URING.rawValue)
        /// Where the threat policy knows digests, code whose digest cannot be had is refused (a kernel without IMA, a
        /// file mapping made code afterwards), not only counted.
        public static let refuseUnhashed = Flags(rawValue: ARBITER_REFUSE_UNHASHED.rawValue)
    }

    /// Seconds a remembered verdict is used, by what is done; 0: every time is judged anew. That a verdict is void when
    /// what it came from changes does not depend on these. Everything else (processes, mounts, changes of the tree, the
    /// kernel's interfaces) is never remembered.
    public struct Lifetimes: Sendable, Equatable {
        public var open: UInt32 = 180
        public var execute: UInt32 = 300
        /// Reads and writes through open descriptors, where these are judged (``Arbiter/revoke(in:)``).
        public var use: UInt32 = 60

        public init() {}
    }

    public var flags: Flags = []
    public var lifetimes = Lifetimes()
    /// Address families whose sockets may be made (AF_UNIX is 1, AF_INET 2, AF_INET6 10, AF_NETLINK 16).
    public var families: Set<UInt8> = [1, 2, 10, 16]
    /// Rights on what no rule names.
    public var otherwise: Rights = []
    /// Rights on what has no place in the tree: pipes, memfds.
    public var nameless: Rights = [.read, .write]
    public var objects: [ObjectRule] = []
    public var names: [NameRule] = []
    public var addresses: [AddressRule] = []

    public init() {}
}
