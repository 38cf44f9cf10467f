import LinuxSystem
import ThreatPolicy

/// The system calls, socket families and ioctls that a threat policy denies: as they were when the sandbox's filter was
/// made, for nothing can be added to the filter of running tasks from outside.
public struct PolicyCalls: Sendable {
    /// What is told with a refusal.
    struct Refusal: Sendable {
        var layer: Violation.Layer
        var rule: RuleReference
        var remedy: String
    }

    /// Calls whose arguments are looked at, by number.
    public struct Numbers: Sendable {
        /// Whose first argument is a family.
        public var family: Set<UInt32>
        public var ioctl: UInt32?

        public init(family: Set<UInt32>, ioctl: UInt32?) {
            self.family = family
            self.ioctl = ioctl
        }
    }

    private var calls: [UInt32: Refusal] = [:]
    private var families: [UInt32: Refusal] = [:]
    private var ioctls: [UInt32: Refusal] = [:]
    private let numbers: Numbers

    /// - Parameter kinds: what is asked about: not what the kernel's own programs see.
    public init(_ judge: PolicyJudge, kinds: Set<KeyKind>, numbers: Numbers, now: Int64) {
        self.numbers = numbers
        func refusals(_ kind: KeyKind) -> [UInt32: Refusal] {
            guard kinds.contains(kind), judge.policy.has(kind) else { return [:] }
            var refusals: [UInt32: Refusal] = [:]
            for number in 0..<kind.numbers {
                guard let key = KeyValue(kind, number: number).flatMap({ PolicyKey(.call, $0) }) else { continue }
                let answer = judge.policy.verdict(key, now: now)
                guard answer.isDenied else { continue }
                let denial = PolicyJudge.Denial(answer: answer, key: key)
                refusals[number] = Refusal(
                    layer: judge.layer(denial), rule: judge.rule(denial), remedy: judge.remedy(denial))
            }
            return refusals
        }
        calls = refusals(.call)
        families = refusals(.family)
        ioctls = refusals(.ioctl)
    }

    public var isEmpty: Bool { calls.isEmpty && families.isEmpty && ioctls.isEmpty }
    public var callNumbers: [UInt32] { calls.keys.sorted() }
    public var familyNumbers: [UInt32] { families.keys.sorted() }
    public var ioctlTypes: [UInt32] { ioctls.keys.sorted() }

    /// What these deny and `others` do not, in words: `call:161`.
    public func missing(in others: PolicyCalls?) -> [String] {
        func missing(_ place: KeyPath<PolicyCalls, [UInt32: Refusal]>, _ kind: KeyKind) -> [String] {
            let known = others?[keyPath: place] ?? [:]
            let late = self[keyPath: place].keys.filter { known[$0] == nil }.sorted()
            return late.compactMap { KeyValue(kind, number: $0).map(KeyText.text) }
        }
        return missing(\.calls, .call) + missing(\.families, .family) + missing(\.ioctls, .ioctl)
    }

    /// - Parameters:
    ///   - first: the call's arguments; the filter looked at their low 32 bits, as the kernel does.
    func refusal(_ number: Int32, first: UInt64, second: UInt64) -> Refusal? {
        guard let number = UInt32(exactly: number) else { return nil }
        if let refusal = calls[number] { return refusal }
        if numbers.family.contains(number) { return families[UInt32(truncatingIfNeeded: first)] }
        return number == numbers.ioctl ? ioctls[UInt32(truncatingIfNeeded: second) >> 8 & 0xFF] : nil
    }
}
