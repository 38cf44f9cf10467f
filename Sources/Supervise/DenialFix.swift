import Enforce
import LinuxSystem
import Profile

/// The smallest change of the request or the profile that would allow what was refused.
enum DenialFix {
    static func smallest(_ violation: Violation, rules: [PathRule]) -> String? {
        if let remedy = violation.remedy { return remedy }
        let path = String(decoding: violation.object, as: UTF8.self)
        if violation.layer == .seccomp {
            return "if it is needed: [process] seccomp = [\"\(violation.operation)\"] in a profile, where mis allows it"
        }
        if ["connect", "bind", "send", "listen"].contains(violation.operation) { return "--net host" }
        // A deed, not an object: no rule of a profile allows it.
        guard violation.layer != .bpf || violation.object.first == UInt8(ascii: "/") else { return nil }
        guard let index = violation.rule.index, rules.indices.contains(index) else {
            return violation.operation == "execute" ? "[filesystem] execute = [\"\(path)\"]" : "--ro \(path)"
        }
        let rule = rules[index]
        switch rule.access {
        case .deny, .protect:
            return
                "a profile whose [filesystem] \(rule.access.rawValue) does not hold \"\(rule.text)\" (\(rule.origin))"
        case .read, .execute, .tmpfs, .write:
            return violation.operation == "execute" ? "[filesystem] execute = [\"\(path)\"]" : "--rw \(path)"
        }
    }
}
