public import Profile

/// A profile's rules as a ``PathDecider``.
public final class ProfileDecider: PathDecider {
    /// A mount of the sandbox, as far as verdicts depend on it.
    public struct Mount: Sendable, Equatable {
        /// Inside.
        public var target: String
        /// Read-only from inside, and no other mount of the sandbox shows the same objects elsewhere or writable.
        public var isSettled: Bool

        public init(target: String, isSettled: Bool) {
            self.target = target
            self.isSettled = isSettled
        }
    }

    private struct Target {
        var path: [UInt8]
        var isSettled: Bool
    }

    private let rules: RuleSet
    private let unknown: Profile.Enforcement.Unknown
    /// Longest target first, so that the first one at or above a place is the mount it lies on.
    private let mounts: [Target]

    /// - Parameters:
    ///   - unknown: what is said of places no rule speaks of.
    ///   - mounts: all mounts of the sandbox; a place on none of them is never settled.
    public init(_ rules: RuleSet, unknown: Profile.Enforcement.Unknown, mounts: [Mount]) {
        self.rules = rules
        self.unknown = unknown
        self.mounts = mounts.map { Target(path: Array($0.target.utf8), isSettled: $0.isSettled) }
            .sorted { $0.path.count > $1.path.count }
    }

    public func verdict(_ path: borrowing Span<UInt8>) -> PathVerdict {
        let decision = rules.decide(path: path)
        let rule = decision.rule.map { Int32($0) } ?? -1
        switch decision.access {
        case .deny:
            return PathVerdict(access: .denied, mayExecute: false, rule: rule, isGuarded: true)
        case .read, .protect, .execute:
            return PathVerdict(
                access: .readOnly, mayExecute: decision.mayExecute, rule: rule, isSettled: isSettled(path),
                isGuarded: decision.access == .protect)
        case .write, .tmpfs:
            return PathVerdict(access: .full, mayExecute: decision.mayExecute, rule: rule, isSettled: isSettled(path))
        case nil:
            guard unknown == .trace else { return .denied }
            return PathVerdict(access: .full, mayExecute: true, rule: -1, isTraced: true)
        }
    }

    public func reference(_ rule: Int32) -> RuleReference {
        guard rule >= 0, Int(rule) < rules.rules.count else {
            return RuleReference(text: "no rule speaks of it", origin: "enforcement.unknown")
        }
        return RuleReference(rules.rules[Int(rule)], index: Int(rule))
    }

    private func isSettled(_ path: borrowing Span<UInt8>) -> Bool {
        for mount in mounts {
            let count = mount.path.count
            // "/" is above everything; another target must end where a name of the path ends.
            if count == 1 { return mount.isSettled }
            guard path.count >= count, path.count == count || path[count] == UInt8(ascii: "/") else { continue }
            var index = count - 1
            while index > 0, mount.path[index] == path[index] { index -= 1 }
            if index == 0 { return mount.isSettled }
        }
        return false
    }
}
