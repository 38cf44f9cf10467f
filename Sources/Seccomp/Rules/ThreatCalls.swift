import CSeccomp

/// System calls, socket families and ioctls that a threat policy denies, in front of a filter.
///
/// Not a filter of its own: of two filters' answers the kernel takes the stricter one, an errno before a notification, and
/// only one filter of a task can have a listener; so a second filter could deny, but never tell. Put in front of the first
/// one's instructions, whose jumps are all relative, its answers are told like every other refusal.
public struct ThreatCalls: Sendable, Hashable {
    /// Numbers of calls.
    public var calls: [UInt32]
    /// Address families of `socket` and `socketpair` (socket(2)).
    public var families: [UInt32]
    /// Type bytes of `ioctl` (ioctl(2)).
    public var ioctls: [UInt32]

    public init(calls: [UInt32], families: [UInt32], ioctls: [UInt32]) {
        self.calls = calls
        self.families = families
        self.ioctls = ioctls
    }
}

extension SeccompFilter {
    /// What the kernel takes in one filter (BPF_MAXINSNS).
    static let limit = 4096

    /// The same filter, which refuses these first: through its listener, where it has one.
    public func refusing(_ threats: ThreatCalls) throws(SeccompError) -> SeccompFilter {
        let answer = BPFInstruction(
            code: BPF.answer, k: needsListener ? BPF.notify : BPF.fail(Errno.notPermitted))
        // What is tested here is loaded; a test that holds meets the answer behind it, one that does not steps over it.
        func refuse(_ value: UInt32) -> [BPFInstruction] {
            [BPFInstruction(code: BPF.jumpEqual, jt: 0, jf: 1, k: value), answer]
        }
        var front: [BPFInstruction] = []
        for number in Set(threats.calls).sorted() { front += refuse(number) }
        // An argument's values, after some of the calls.
        func refuse(_ values: [UInt32], of argument: Int, mask: UInt32, in names: [String]) {
            guard !values.isEmpty else { return }
            var tests = [
                BPFInstruction(code: BPF.load, k: BPF.argument(argument)), BPFInstruction(code: BPF.and, k: mask),
            ]
            for value in Set(values).sorted() { tests += refuse(value) }
            tests.append(BPFInstruction(code: BPF.load, k: BPF.number))
            let numbers = names.compactMap(SyscallNumbers.number)
            for (place, number) in numbers.enumerated() {
                front.append(BPFInstruction(code: BPF.jumpEqual, jt: 0, jf: 1, k: UInt32(number)))
                // Over what is left of the calls, and over the jump past the tests.
                front.append(BPFInstruction(code: BPF.jump, k: UInt32(numbers.count - 1 - place) * 2 + 1))
            }
            front.append(BPFInstruction(code: BPF.jump, k: UInt32(tests.count)))
            front += tests
        }
        refuse(threats.families, of: 0, mask: .max, in: ["socket", "socketpair"])
        refuse(threats.ioctls.map { $0 << 8 }, of: 1, mask: 0xFF00, in: ["ioctl"])
        // Numbers mean something else on another architecture, which the filter behind knows what to do with.
        let head = [
            BPFInstruction(code: BPF.load, k: BPF.architecture),
            BPFInstruction(code: BPF.jumpEqual, jt: 1, jf: 0, k: seccomp_arch_native()),
            BPFInstruction(code: BPF.jump, k: UInt32(front.count + 1)),
            BPFInstruction(code: BPF.load, k: BPF.number),
        ]
        let whole = head + front + instructions
        guard whole.count <= Self.limit else { throw .unexpectedProgram("\(whole.count) instructions") }
        return SeccompFilter(instructions: whole, needsListener: needsListener)
    }
}
