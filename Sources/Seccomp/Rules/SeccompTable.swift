/// The declarative table every filter is made from.
///
/// In the spirit of the container default (moby/profiles, seccomp/default.json): an allow-list for unprivileged
/// programs. A number the table does not know answers ENOSYS, as a kernel without it would, so that libraries fall
/// back; so does every number of a foreign architecture (32-bit, x32).
public enum SeccompTable {
    package static let groups: [SyscallGroup] = allowedCalls + checkedCalls + refusedCalls

    /// Every call of the table by name.
    package static let rules: [String: SyscallGroup] = {
        var rules: [String: SyscallGroup] = [:]
        for group in groups {
            for name in group.names {
                precondition(rules.updateValue(group, forKey: name) == nil, "\(name) is in two groups")
            }
        }
        return rules
    }()

    private static let forbidden: [String: String] = {
        var reasons: [String: String] = [:]
        for (reason, names) in forbiddenCalls {
            for name in names.split(whereSeparator: \.isWhitespace) { reasons[String(name)] = reason }
        }
        return reasons
    }()

    /// Names a profile may not add.
    package static var forbiddenNames: Set<String> { Set(forbidden.keys) }

    /// The mistakes in a profile's list of extra system calls, in its order; empty when all may be allowed. A call that
    /// is allowed anyway is no mistake; one that is checked (`personality`) loses its check.
    public static func check(extra: [String]) -> [SeccompError] {
        extra.compactMap { name in
            if let reason = forbidden[name] { return .forbiddenCall(name: name, reason: reason) }
            if rules[name] == nil { return .unknownCall(name: name, nearest: nearestName(to: name)) }
            return nil
        }
    }

    /// What a policy says to a call of this name.
    package static func decision(for name: String, under policy: SeccompPolicy) -> Decision {
        guard let group = rules[name] else { return .answer(Errno.noSuchCall) }
        let decision = policy.nested ? group.nested ?? group.decision : group.decision
        // A call that is never denied gains nothing by being named, and must not stop being shown.
        return decision.denies && policy.extra.contains(name) ? .allow : decision
    }

    private static func nearestName(to name: String) -> String? {
        let nearest = rules.keys.map { (editDistance(Array(name.utf8), Array($0.utf8)), $0) }.min(by: <)
        guard let (distance, candidate) = nearest, distance <= 2 else { return nil }
        return candidate
    }

    /// Levenshtein's distance.
    private static func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let substituted = diagonal + (a == b ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, diagonal + 1, row[j] + 1)
            }
        }
        return row[right.count]
    }
}
