/// One classic BPF instruction, laid out as the kernel's `struct sock_filter` (linux/filter.h).
public struct BPFInstruction: Sendable, Hashable {
    public var code: UInt16
    /// Instructions to skip when the test holds.
    public var jt: UInt8
    /// Instructions to skip when it does not.
    public var jf: UInt8
    public var k: UInt32

    public init(code: UInt16, jt: UInt8 = 0, jf: UInt8 = 0, k: UInt32) {
        self.code = code
        self.jt = jt
        self.jf = jf
        self.k = k
    }
}

/// A finished filter: what `seccomp(SECCOMP_SET_MODE_FILTER)` takes in a `struct sock_fprog`.
public struct SeccompFilter: Sendable, Hashable {
    public let instructions: [BPFInstruction]
    /// The filter answers some calls with `SECCOMP_RET_USER_NOTIF`: install it with
    /// `SECCOMP_FILTER_FLAG_NEW_LISTENER`, or the kernel fails those calls with ENOSYS.
    public let needsListener: Bool

    package init(instructions: [BPFInstruction], policy: SeccompPolicy) {
        self.instructions = instructions
        self.needsListener = policy.report != .none
    }

    init(instructions: [BPFInstruction], needsListener: Bool) {
        self.instructions = instructions
        self.needsListener = needsListener
    }
}
