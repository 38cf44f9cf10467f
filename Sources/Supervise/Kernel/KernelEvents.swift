import Arbiter
import Enforce
import LinuxSystem
import Plan
import Profile
import ThreatPolicy

/// Turns what the kernel's programs tell into violations and lines of the record.
final class KernelEvents {
    /// Laid out when first asked: most runs of a second tell nothing.
    private let decider: () -> ProfileDecider
    private let sink: Violations
    /// The threat policy that is in force there.
    var policy: KernelPolicy?

    init(decider: @escaping () -> ProfileDecider, sink: Violations) {
        self.decider = decider
        self.sink = sink
    }

    /// - Returns: the violation that a denial is.
    func take(_ event: borrowing ArbiterEvent) -> Violation? {
        switch event.verdict {
        case .denied:
            let threat = policy?.explain(event)
            let violation = Violation(
                operation: Self.operation(event), object: Array(Self.object(event).utf8),
                rule: threat?.rule ?? rule(event), layer: threat?.layer ?? .bpf, pid: event.pid,
                program: Array(event.command.utf8), count: 1 + UInt64(event.repeats),
                countsTowardsLevel: threat != nil || !Self.honest.contains(event.operationName),
                remedy: threat?.remedy)
            sink.violation(violation)
            return violation
        case .traced:
            sink.traced(operation: Self.operation(event), object: Array(Self.object(event).utf8), pid: event.pid)
        case .allowed:
            sink.observed(operation: Self.operation(event), object: Array(Self.object(event).utf8), pid: event.pid)
        }
        return nil
    }

    /// What honest programs try and live without: a look at the network, a socket of a rare family, a protocol's module.
    private static let honest: Set<String> = [
        "socket", "connect", "send", "bind", "listen", "module", "setattr", "chown", "chmod", "xattr", "schedule",
        "key", "syslog", "watch",
    ]

    /// `open` tells reading, writing and executing apart, like the other tiers.
    private static func operation(_ event: borrowing ArbiterEvent) -> String {
        let name = event.operationName
        if name == "exec" { return "execute" }
        guard name == "open" else { return name }
        let missing = event.wanted.subtracting(event.verdict == .allowed ? [] : event.granted)
        if missing.contains(.execute) { return "execute" }
        return missing.contains(.write) ? "write" : "open"
    }

    private static func object(_ event: borrowing ArbiterEvent) -> String {
        let path = event.path
        if !path.isEmpty { return path }
        let detail = event.detail
        switch event.operationName {
        case "connect", "bind", "send": return AddressText.describe(event.address, port: event.port)
        case "socket": return "family \(detail >> 32), type \(detail >> 16 & 0xffff), protocol \(detail & 0xffff)"
        case "listen": return "family \(detail)"
        case "signal": return "signal \(detail)"
        case "unix-connect", "unix-send": return "a unix socket without a path"
        case "credentials": return "user \(detail)"
        default: return "number \(detail)"
        }
    }

    private func rule(_ event: borrowing ArbiterEvent) -> RuleReference {
        if let index = KernelGuard.index(event.rule) { return decider().reference(Int32(index)) }
        let path = event.path
        if path.hasPrefix("/") {
            let decider = decider()
            return decider.reference(decider.verdict(path.utf8Span.span).rule)
        }
        if !path.isEmpty { return decider().reference(-1) }
        switch event.operationName {
        case "connect", "bind", "send", "listen": return RuleReference(text: "[network] mode = \"none\"")
        case "unix-connect", "unix-send":
            return RuleReference(text: "a socket of the host is reached only where a rule names it")
        default: return RuleReference(text: "not for a sandbox")
        }
    }
}
