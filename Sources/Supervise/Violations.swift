import LinuxSystem
import Plan
import Profile
import Record

/// Where every refusal ends up: in the record, in the report, and in the threat level.
final class Violations {
    private let plan: SandboxPlan
    private let recorder: SessionRecorder
    private var escalation: Escalation
    private(set) var log = DenialLog()
    private(set) var verdicts = RunReport.Verdicts()
    /// Called once, when level 1 is reached.
    var onEmergency: () -> Void = {}
    private var level = 5

    init(plan: SandboxPlan, recorder: SessionRecorder) {
        self.plan = plan
        self.recorder = recorder
        escalation = Escalation(plan.escalation)
    }

    var worstLevel: Int { escalation.worst }

    func allowed(_ count: UInt64 = 1) { verdicts.allow += count }

    func add(_ denial: Denial) {
        verdicts.deny += 1
        if case .full = log.add(denial) {
            recorder.append(.execution, .alert, at: denial.time) { denial.writeLine(to: &$0) }
        }
        let before = level
        level = escalation.violation(at: denial.time.monotonic)
        if level != before { noteLevel(from: before) }
        if level == 1, before != 1 { onEmergency() }
    }

    private func noteLevel(from before: Int) {
        recorder.append(.execution, .alert) { writer in
            writer.member("event", "level")
            writer.member("from", before)
            writer.member("level", level)
        }
    }
}
