import CBpf
import LinuxSystem

/// A place for one threat policy in the kernel, to be filled layer by layer. A layer that is not given holds nothing.
///
/// Filters come as the 80 bytes of `struct policy_filter` (bpf/policy_key.h), bits and keys as in a bundle's file.
public struct ThreatFilling: ~Copyable {
    let number: UInt32
    let tables: ThreatTables
    var policy = arbiter_policy()

    /// - Parameters:
    ///   - filter: its secret and kinds; it needs no bits.
    ///   - keys: 16 bytes each, under this filter's secret.
    public mutating func whitelist(filter: RawSpan, keys: RawSpan) throws(ArbiterError) {
        try ThreatFilling.copy(filter, to: &policy.whitelist)
        try put(keys: keys, named: "mis_whitelist", in: tables.whitelist)
    }

    /// - Parameter bits: 512 KB (2^22 bits).
    public mutating func hotfix(filter: RawSpan, bits: RawSpan) throws(ArbiterError) {
        try ThreatFilling.copy(filter, to: &policy.hotfix)
        try put(bits: bits, bytes: ARBITER_HOTFIX_BYTES, named: "mis_hotfix", in: tables.hotfix)
    }

    /// - Parameters:
    ///   - bits: 2 MB (2^24 bits).
    ///   - keys: what decides after a hit of the bits, 16 bytes each.
    public mutating func base(filter: RawSpan, bits: RawSpan, keys: RawSpan) throws(ArbiterError) {
        try ThreatFilling.copy(filter, to: &policy.base)
        try put(bits: bits, bytes: ARBITER_BASE_BYTES, named: "mis_base", in: tables.base)
        try put(keys: keys, named: "mis_exact", in: tables.exact)
    }

    private static func copy(_ filter: RawSpan, to place: inout arbiter_filter) throws(ArbiterError) {
        let size = MemoryLayout<arbiter_filter>.size
        guard filter.byteCount == size else { throw .rule("threat policy", "a filter has \(size) bytes") }
        unsafe filter.withUnsafeBytes { from in
            unsafe withUnsafeMutableBytes(of: &place) { unsafe $0.copyMemory(from: from) }
        }
    }

    private func put(bits: RawSpan, bytes: Int, named name: String, in table: Int32) throws(ArbiterError) {
        guard bits.byteCount == bytes else {
            throw .rule("threat policy", "\(bytes) bytes of bits are wanted, not \(bits.byteCount)")
        }
        try enter(
            try attempt("making the kernel's map of", name) {
                unsafe bits.withUnsafeBytes { bytes in
                    guard let start = bytes.baseAddress else { return -1 }
                    return unsafe cbpf_bits_make(name, start, UInt32(bytes.count))
                }
            }, in: table)
    }

    private func put(keys: RawSpan, named name: String, in table: Int32) throws(ArbiterError) {
        guard keys.byteCount % 16 == 0 else { throw .rule("threat policy", "keys have 16 bytes each") }
        var none: UInt64 = 0
        try enter(
            try attempt("making the kernel's map of", name) {
                unsafe keys.withUnsafeBytes { bytes in
                    unsafe withUnsafePointer(to: &none) { none in
                        let start = unsafe bytes.baseAddress ?? UnsafeRawPointer(none)
                        return unsafe cbpf_keys_make(name, start, UInt32(bytes.count / 16))
                    }
                }
            }, in: table)
    }

    /// The map of maps holds the new map from then on.
    private func enter(_ made: Int32, in table: Int32) throws(ArbiterError) {
        let map = FileDescriptor(owning: made)
        try Entry.put(table, number, map.number, table: "threat policies", room: Int(ARBITER_POLICIES))
    }
}

/// The maps of maps a threat policy's parts are entered in.
struct ThreatTables {
    let policies: Int32
    let base: Int32
    let hotfix: Int32
    let exact: Int32
    let whitelist: Int32
}

/// What the kernel's filters say about a key of numbers.
public struct ThreatAnswer: Sendable, Equatable {
    /// 0: the rules decide; 1 whitelist, 2 hotfix, 3 base.
    public var layer: UInt32
    /// The key under the secret of the filter that was asked last.
    public var low: UInt64
    public var high: UInt64
}

extension arbiter_sandbox {
    /// Which threat policy the sandbox is under, by its place in the kernel's tables.
    var policyNumber: UInt32? {
        let number = policy & UInt32(ARBITER_POLICY_NUMBER)
        return number == 0 ? nil : number - 1
    }
}

extension Arbiter {
    /// Puts a sandbox under the threat policy called `identity`: what is opened, started or connected to from now on is
    /// judged by it, and nothing remembered counts. Sandboxes of the machine share one copy; `fill` is called only
    /// where it is not in the kernel yet, and a policy that nobody uses any more leaves it.
    ///
    /// The change is one write to the sandbox's entry: every access is judged by the old policy or by the new one, whole.
    /// The old one's memory goes at once where nobody else has it; a program that was still reading it finds the entry
    /// changed and asks again.
    ///
    /// - Parameter identity: names this very content; not 0.
    public func use(
        policy identity: UInt64, for sandbox: borrowing RegisteredSandbox,
        filling fill: (inout ThreatFilling) throws(ArbiterError) -> Void
    ) throws(ArbiterError) {
        let lock = try Pins(root: root, without: without)
        let number = try place(of: identity, filling: fill)
        let before = unsafe sandboxes[Int(sandbox.slot)].policyNumber
        try change(users: 1, of: number)
        unsafe cbpf_sandbox_policy(sandboxes + Int(sandbox.slot), number + 1)
        voidVerdicts()
        if let before { leave(policy: before) }
        _ = lock.root
    }

    /// Takes the threat policy away from a sandbox: its rules alone decide.
    public func dropPolicy(of sandbox: borrowing RegisteredSandbox) throws(ArbiterError) {
        let lock = try Pins(root: root, without: without)
        let before = unsafe sandboxes[Int(sandbox.slot)].policyNumber
        unsafe cbpf_sandbox_policy(sandboxes + Int(sandbox.slot), 0)
        voidVerdicts()
        if let before { leave(policy: before) }
        _ = lock.root
    }

    /// Asks the kernel's own function and filters about a key of numbers (digest, inode, address, call, family, ioctl).
    ///
    /// - Parameters:
    ///   - kind: `enum policy_kind`; not a path or a name, which the kernel reads from its own objects only.
    ///   - value: at most 4 words.
    public func ask(
        kind: UInt32, operation: UInt32, details: UInt64, value: [UInt64], as sandbox: borrowing RegisteredSandbox
    ) throws(ArbiterError) -> ThreatAnswer {
        var question = arbiter_question()
        question.policy = unsafe sandboxes[Int(sandbox.slot)].policy
        question.kind = kind
        question.operation = operation
        question.details = details
        question.words = UInt32(min(value.count, 4))
        unsafe withUnsafeMutableBytes(of: &question.value) { place in
            for (index, word) in value.prefix(4).enumerated() {
                unsafe place.storeBytes(of: word, toByteOffset: index * 8, as: UInt64.self)
            }
        }
        let program = tables.askPolicy.number
        try attempt("asking the kernel's threat policy") { unsafe cbpf_ask_policy(program, &question) }
        return ThreatAnswer(layer: question.layer, low: question.key.0, high: question.key.1)
    }

    private func place(
        of identity: UInt64, filling fill: (inout ThreatFilling) throws(ArbiterError) -> Void
    ) throws(ArbiterError) -> UInt32 {
        var free: UInt32?
        for number in 0..<UInt32(ARBITER_POLICIES) {
            var policy = arbiter_policy()
            guard Entry.get(tables.policies.number, number, into: &policy) else { continue }
            if policy.identity == identity { return number }
            if policy.users == 0, free == nil { free = number }
        }
        guard let number = free else { throw .full("threat policies", Int(ARBITER_POLICIES)) }
        var filling = ThreatFilling(
            number: number,
            tables: ThreatTables(
                policies: tables.policies.number, base: tables.base.number, hotfix: tables.hotfix.number,
                exact: tables.exact.number, whitelist: tables.whitelist.number))
        do { try fill(&filling) } catch {
            clear(policy: number)
            throw error
        }
        var policy = filling.policy
        policy.identity = identity
        try Entry.put(
            tables.policies.number, number, policy, table: "threat policies", room: Int(ARBITER_POLICIES))
        return number
    }

    private func change(users by: Int, of number: UInt32) throws(ArbiterError) {
        var policy = arbiter_policy()
        guard Entry.get(tables.policies.number, number, into: &policy) else { return }
        policy.users = UInt64(max(Int(policy.users) + by, 0))
        try Entry.put(
            tables.policies.number, number, policy, table: "threat policies", room: Int(ARBITER_POLICIES))
    }

    /// One user fewer; with the last one the policy's memory goes.
    func leave(policy number: UInt32) {
        try? change(users: -1, of: number)
        var policy = arbiter_policy()
        if Entry.get(tables.policies.number, number, into: &policy), policy.users == 0 { clear(policy: number) }
    }

    private func clear(policy number: UInt32) {
        try? Entry.put(
            tables.policies.number, number, arbiter_policy(), table: "threat policies", room: Int(ARBITER_POLICIES))
        for table in [tables.base.number, tables.hotfix.number, tables.exact.number, tables.whitelist.number] {
            Entry.remove(table, number)
        }
    }
}
