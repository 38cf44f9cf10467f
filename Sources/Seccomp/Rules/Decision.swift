/// What a filter says to one system call.
package enum Outcome: Sendable, Hashable {
    case allow
    /// A call that reaches for something outside the sandbox: EPERM, and a line in the record.
    case refuse
    /// Allowed; shown to the supervisor first when the policy reports writes.
    case observe
    /// Fails with this errno and leaves no record: calls honest programs make, and live without.
    case answer(UInt16)
    /// A second seccomp listener. Fine, unless the sandbox has a listener of its own: then EBUSY, which is what today's
    /// kernels answer by themselves. Said here because the newest filter wins a tie between two notifications, so a
    /// kernel that took a second listener would let the agent answer "continue" to its own refused calls.
    case listen
}

/// A tree of tests on a call's arguments that ends in outcomes.
///
/// Only the low 32 bits of an argument are looked at: every parameter tested is an `int` or `unsigned int` in the
/// kernel (or, for `clone`, cut to 32 bits there), so what stands above is what the kernel ignores (CVE-2019-10063).
package indirect enum Decision: Sendable, Hashable {
    case outcome(Outcome)
    /// The first case that holds decides, else `otherwise`.
    case choose(Word, [Case], otherwise: Decision)

    package struct Case: Sendable, Hashable {
        package let test: Test
        package let then: Decision

        package init(_ test: Test, _ then: Decision) {
            self.test = test
            self.then = then
        }
    }

    static let allow = Decision.outcome(.allow)
    static let refuse = Decision.outcome(.refuse)
    static let observe = Decision.outcome(.observe)
    static func answer(_ errno: UInt16) -> Decision { .outcome(.answer(errno)) }

    /// The decision `then` for each of these values.
    static func choose(
        _ argument: Int, mask: UInt32 = .max, in values: [UInt32], _ then: Decision, otherwise: Decision
    ) -> Decision {
        .choose(Word(argument, mask: mask), values.map { Case(.equals($0), then) }, otherwise: otherwise)
    }
}

extension Decision {
    /// Every outcome a call may have.
    package var outcomes: Set<Outcome> {
        switch self {
        case .outcome(let outcome): [outcome]
        case .choose(_, let cases, let otherwise):
            cases.reduce(into: otherwise.outcomes) { $0.formUnion($1.then.outcomes) }
        }
    }

    /// Some arguments make the call fail.
    package var denies: Bool {
        outcomes.contains {
            switch $0 {
            case .refuse, .answer: true
            case .allow, .observe, .listen: false
            }
        }
    }
}

/// The low 32 bits of argument 0...5, and'ed with a mask.
package struct Word: Sendable, Hashable {
    package let argument: Int
    package let mask: UInt32

    package init(_ argument: Int, mask: UInt32 = .max) {
        self.argument = argument
        self.mask = mask
    }
}

package enum Test: Sendable, Hashable {
    case equals(UInt32)
    /// Unsigned.
    case atMost(UInt32)
    /// Any of these bits is set.
    case anyBit(UInt32)
}

/// System calls that share a decision, with the reason for it.
package struct SyscallGroup: Sendable {
    package let reason: String
    package let decision: Decision
    /// The decision when the policy is nested; `nil`: the same.
    package let nested: Decision?
    /// A refusal counts as a violation. False where honest programs try the call (runtimes that probe for it,
    /// debuggers, sandboxes): recorded, but no reason to raise the threat level.
    package let counts: Bool
    package let names: [String]

    init(_ reason: String, _ decision: Decision, nested: Decision? = nil, counts: Bool = false, _ names: String) {
        self.reason = reason
        self.decision = decision
        self.nested = nested
        self.counts = counts
        self.names = names.split(whereSeparator: \.isWhitespace).map(String.init)
    }
}
