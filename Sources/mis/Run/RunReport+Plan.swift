import Cgroup
import Plan
import Record
import Supervise

extension RunReport {
    init(_ plan: SandboxPlan, _ outcome: SandboxOutcome, used usage: CgroupUsage, unenforced: [String]) {
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
        resources.cpuMicroseconds = usage.cpuMicroseconds
        resources.memoryPeak = usage.memoryPeak
        resources.pidsPeak = usage.processesPeak
        if let failure = outcome.setupFailure {
            setupError = .init(
                step: failure.error.doing, object: Array(failure.error.object.utf8), errno: failure.error.errno.code,
                message: FailureText.explain(failure), fix: failure.error.remedy)
        }
    }
}
