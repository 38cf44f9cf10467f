import Enforce
import LinuxSystem
import Plan
import Profile
import Record

/// Where every refusal ends up: in the record, in the report, and in the threat level.
final class Violations: ViolationSink {
    private let plan: SandboxPlan
    private let recorder: SessionRecorder
    private var escalation: Escalation
    private(set) var log = DenialLog()
    private(set) var verdicts = RunReport.Verdicts()
    private(set) var lostEvents: UInt64 = 0
    /// What turned out not to be enforced while the sandbox ran.
    private(set) var unenforced: [String] = []
    /// Called once, when level 1 is reached.
    var onEmergency: () -> Void = {}
    /// Called when nothing can be promised any more.
    var onLoss: (String) -> Void = { _ in }
    /// Called with each new level.
    var onLevel: (Int) -> Void = { _ in }
    /// Called with each violation: equal ones may follow, and are passed on when asked for.
    var onViolation: () -> Void = {}
    private var level = 5

    init(plan: SandboxPlan, recorder: SessionRecorder) {
        self.plan = plan
        self.recorder = recorder
        escalation = Escalation(plan.escalation)
    }

    var worstLevel: Int { escalation.worst }

    func allowed(_ count: UInt64) { verdicts.allow += count }

    /// Code ran that the threat policy could not look at.
    func unhashed(_ count: UInt64) {
        unenforced.append(
            "threat policy, digests: \(count) times code was started or mapped whose digest the kernel could not give")
        recorder.append(.outcome, .alert) { writer in
            writer.member("event", "unhashed")
            writer.member("count", count)
        }
    }

    /// A process was killed because a new threat policy denies code that it runs.
    func revoked(_ pid: pid_t) {
        recorder.append(.execution, .alert) { writer in
            writer.member("event", "revoked")
            writer.member("pid", pid)
        }
    }

    /// Denials the kernel counted and did not tell one by one.
    func untold(_ count: UInt64) { verdicts.deny += count }

    /// Events the kernel had no room for.
    func lostInKernel(_ count: UInt64) { lostEvents += count }

    func enforcementLost(_ reason: String) { onLoss(reason) }

    /// Something was allowed, and the profile wants that recorded.
    func observed(operation: String, object: [UInt8], pid: Int32) {
        line("allow", operation, object, pid)
    }

    func traced(operation: String, object: [UInt8], pid: Int32) {
        verdicts.trace += 1
        guard plan.streams.trace else { return }
        line("trace", operation, object, pid)
    }

    private func line(_ event: String, _ operation: String, _ object: [UInt8], _ pid: Int32) {
        recorder.append(.execution, .trace) { writer in
            writer.member("event", event)
            writer.member("operation", operation)
            writer.member("object", bytes: object)
            writer.member("pid", pid)
        }
    }

    func violation(_ violation: Violation) {
        onViolation()
        verdicts.deny += violation.count
        let denial = Denial(
            operation: violation.operation, object: violation.object,
            rule: "\(violation.rule.text) (\(violation.rule.origin))", layer: violation.layer.rawValue,
            fix: DenialFix.smallest(violation, rules: plan.rules), pid: violation.pid == 0 ? nil : violation.pid,
            program: violation.program)
        if case .full = log.add(denial, count: violation.count) {
            recorder.append(.execution, .alert, at: denial.time) { denial.writeLine(to: &$0) }
        }
        if violation.countsTowardsLevel { raiseLevel(at: denial.time.monotonic, violations: violation.count) }
    }

    /// The threat policy that holds from now on.
    func policyChanged(_ versions: RunReport.PolicyVersions, unenforced: [String]) {
        recorder.append(.execution, .alert) { writer in
            writer.member("event", "policy")
            writer.member("base", versions.base)
            writer.member("hotfix", versions.hotfix)
            writer.member("whitelist", versions.whitelist)
            if !unenforced.isEmpty { writer.member("unenforced", unenforced) }
        }
    }

    /// What a policy that came while the sandbox runs leaves unenforced, for the report: each once.
    func notEnforced(_ sentences: [String]) {
        for sentence in sentences where !unenforced.contains(sentence) { unenforced.append(sentence) }
    }

    /// A policy that was not taken; what was in force stays.
    func policyRefused(_ what: String, _ reason: String) {
        recorder.append(.execution, .alert) { writer in
            writer.member("event", "policy-refused")
            writer.member("object", what)
            writer.member("reason", reason)
        }
    }

    /// Something protected could not be taken away again: said, for it is on the host.
    func remains(_ path: [UInt8]) {
        recorder.append(.outcome, .alert) { writer in
            writer.member("event", "remains")
            writer.member("object", bytes: path)
        }
    }

    /// A listed file of the home folder was carried from one side to the other, or could not be.
    func noteHome(_ note: HomeFiles.Note) {
        recorder.append(.execution, .ordinary) { writer in
            writer.member("event", "home-file")
            writer.member("object", note.path)
            writer.member("outcome", "\(note.kind)")
        }
    }

    private func raiseLevel(at time: UInt64, violations: UInt64) {
        let before = level
        for _ in 0..<min(violations, 1000) { level = escalation.violation(at: time) }
        guard level != before else { return }
        recorder.append(.execution, .alert) { writer in
            writer.member("event", "level")
            writer.member("from", before)
            writer.member("level", level)
        }
        onLevel(level)
        if level == 1 { onEmergency() }
    }
}
