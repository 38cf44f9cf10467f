import Seccomp
import SeccompRules

/// Reads the declarative table the plain way, case by case, as a person would: what the compiled filters are compared
/// with. Shares the table with them and nothing else.
struct TableReader {
    private let policy: SeccompPolicy
    private let groups: [UInt32: (name: String, group: SyscallGroup)]

    init(_ policy: SeccompPolicy) {
        self.policy = policy
        var groups: [UInt32: (name: String, group: SyscallGroup)] = [:]
        for group in SeccompTable.groups {
            for name in group.names {
                if let number = SyscallNumbers.number(of: name) { groups[UInt32(number)] = (name, group) }
            }
        }
        self.groups = groups
    }

    func answer(to data: CallData) -> UInt32 {
        let absent: UInt32 = 0x0005_0026
        guard data.architecture == FilterMachine.nativeArchitecture else { return absent }
        guard let (name, group) = groups[data.number] else { return absent }
        var decision = group.decision
        if policy.nested, let nested = group.nested { decision = nested }
        if policy.extra.contains(name), decision.denies { decision = .outcome(.allow) }
        return action(outcome(decision, data))
    }

    private func outcome(_ decision: Decision, _ data: CallData) -> Outcome {
        switch decision {
        case .outcome(let outcome): return outcome
        case .choose(let word, let cases, let otherwise):
            let value = UInt32(truncatingIfNeeded: data.arguments[word.argument]) & word.mask
            for item in cases {
                switch item.test {
                case .equals(let k) where value == k: return outcome(item.then, data)
                case .atMost(let k) where value <= k: return outcome(item.then, data)
                case .anyBit(let k) where value & k != 0: return outcome(item.then, data)
                default: continue
                }
            }
            return outcome(otherwise, data)
        }
    }

    private func action(_ outcome: Outcome) -> UInt32 {
        let allow: UInt32 = 0x7FFF_0000
        let notify: UInt32 = 0x7FC0_0000
        let error: UInt32 = 0x0005_0000
        return switch outcome {
        case .allow: allow
        case .refuse: policy.report == .none ? error | 1 : notify
        case .observe: policy.report == .refusalsAndWrites ? notify : allow
        case .answer(let errno): error | UInt32(errno)
        case .listen: policy.report == .none ? allow : error | 16
        }
    }
}
