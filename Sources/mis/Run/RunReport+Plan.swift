import Plan
import Record
import Supervise

extension RunReport {
    init(_ plan: SandboxPlan, _ outcome: SandboxOutcome, unenforced: [String]) {
        self.init(
            session: plan.session, tier: plan.tier.rawValue, profile: plan.profile,
            command: plan.arguments, exit: outcome.exit,
            durationMilliseconds: outcome.durationMilliseconds)
        verdicts = outcome.verdicts
        denials = outcome.denials.entries
        lostEvents = outcome.lostEvents
        self.unenforced = unenforced
        level = outcome.level
        policy = outcome.policy
        resources.cpuMicroseconds = outcome.usage.cpuMicroseconds
        resources.memoryPeak = outcome.usage.memoryPeak
        resources.pidsPeak = outcome.usage.processesPeak
        if let failure = outcome.setupFailure {
            setupError = .init(
                step: failure.error.doing, object: Array(failure.error.object.utf8), errno: failure.error.errno.code,
                message: FailureText.explain(failure), fix: failure.error.remedy)
        }
    }
}
