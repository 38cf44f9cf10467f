import Cgroup
import Launch
import LinuxSystem
import Plan
import Record
import Supervise

/// The order in which a sandbox comes up, and goes.
///
/// The guardian and the cgroup are there already, and the sandbox's first process is at its namespaces (``HeadStart``). It
/// gets its plan; meanwhile come the record and the supervisor with the tier's machinery, and only then may the agent
/// start. Whatever fails on the way throws, and what was made so far goes.
final class RunningSandbox {
    /// What is not enforced, all told: by the tier and by the machine's cgroups.
    let unenforced: [String]
    private let plan: SandboxPlan
    private let recorder: SessionRecorder
    private let guardian: Guardian
    private let thread: SupervisorThread

    init(
        setup: RunSetup, identifier: SessionIdentifier, signals: consuming SignalSource, options: RunArguments
    ) throws(SetupProblem) {
        guard let headStart = setup.headStart else { throw SetupProblem("a dry run starts nothing") }
        let begun = try headStart.get()
        plan = setup.plan
        guardian = begun.guardian
        do throws(SetupProblem) {
            let process = try begun.launch(plan, setup.arbiter, hasPolicy: setup.state.hasPolicy)
            var gaps = plan.unenforced + begun.unenforced
            try Self.accept(gaps, plan)
            // The child sets up on its own meanwhile, and waits for us before anything of the agent runs.
            let alarm = try SetupProblem.from { () throws(SystemError) in try RecordAlarm() }
            recorder = try Self.startRecord(setup, identifier, alarm)
            let supervisor = try Self.prepare(
                begun, plan, recorder: recorder, alarm: alarm, signals: signals, policy: setup.state.policy,
                countsUse: options.report != nil || options.verbose)
            gaps += supervisor.unenforced
            try Self.accept(gaps, plan)
            unenforced = gaps
            do throws(Errno) {
                thread = try SupervisorThread(supervisor, serving: process)
            } catch {
                throw SetupProblem(error.doing("starting the supervisor's thread"))
            }
            // The thread comes up meanwhile, and is not in the child's way when the gate opens.
            supervisor.begin(process)
            supervisor.open(process)
            // The child wakes on the processor we are on, and what follows here can wait.
            sched_yield()
            // Not by the thread, which takes its time to come up.
            supervisor.warmUp()
            thread.letRun()
            if !options.quiet { Messages.say(Self.announcement(plan, unenforced, recorder)) }
        } catch {
            begun.abandon()
            throw error
        }
        if options.verbose { Messages.say(Self.details(plan)) }
        // While the sandbox comes up: what its launch left, and what dead launchers did.
        begun.clearUp()
        if let hierarchy = setup.support.cgroup.hierarchy { _ = StaleCgroups.collect(in: hierarchy) }
    }

    /// Serves the record until the sandbox is gone, and ends it.
    func finish() throws(SetupProblem) -> SandboxOutcome {
        recorder.run()
        guard var outcome = thread.outcome else { throw SetupProblem("the supervisor ended without a result") }
        recorder.append(.outcome, .alert) { writer in
            writer.member("event", "end")
            writer.member("reason", outcome.exit.reason.rawValue)
            writer.member("code", outcome.exit.code)
            writer.member("signal", outcome.exit.signal)
            writer.member("duration_ms", outcome.durationMilliseconds)
        }
        outcome.lostEvents += recorder.finish().lost
        if let leftover = thread.join() { Messages.say("\(leftover)") }
        guardian.disarm()
        return outcome
    }

    private static func startRecord(
        _ setup: RunSetup, _ identifier: SessionIdentifier, _ alarm: RecordAlarm
    ) throws(SetupProblem) -> SessionRecorder {
        let plan = setup.plan
        var limits = SessionRecorder.Limits()
        limits.disk = plan.streams.limit
        do {
            let folder = try SessionFolder.make(identifier, in: setup.state.sessions, owners: setup.state.owners)
            return try SessionRecorder.start(
                in: folder,
                SessionDescription(
                    version: Version.text, command: plan.arguments,
                    environment: plan.environment.map { Array("\($0.name)=\($0.value)".utf8) }, profile: plan.profile,
                    tier: plan.tier.rawValue),
                limits: limits,
                onTrouble: { trouble in
                    Messages.say(describe(trouble))
                    if plan.streams.onFailure == .stop { alarm.raise() }
                })
        } catch {
            throw SetupProblem("\(error)")
        }
    }

    private static func describe(_ trouble: SessionRecorder.Trouble) -> String {
        switch trouble {
        case .disk(let error): "the record is losing lines: \(error)"
        case .limit(let bytes): "the record is full (\(bytes) bytes, [streams] limit): further lines are only counted"
        case .queue(let stream): "the \(stream.name) stream is losing lines: they come faster than they can be written"
        }
    }

    /// Throws when something is not enforced and the profile wants all or nothing.
    private static func accept(_ unenforced: [String], _ plan: SandboxPlan) throws(SetupProblem) {
        guard plan.gaps == .refuse, !unenforced.isEmpty else { return }
        throw SetupProblem(
            sentences: unenforced.map { "cannot be enforced here, and gaps = \"refuse\": \($0)" })
    }

    private static func prepare(
        _ begun: HeadStart, _ plan: SandboxPlan, recorder: SessionRecorder, alarm: RecordAlarm,
        signals: consuming SignalSource, policy: String?, countsUse: Bool
    ) throws(SetupProblem) -> Supervisor {
        do {
            return try Supervisor(
                plan: plan, cgroup: begun.cgroup, guardian: begun.guardian, recorder: recorder, alarm: alarm,
                signals: signals, tier: begun.tier, reasoning: begun.takeReasoning(plan),
                policy: policy.map { PolicySource(folder: $0) }, countsUse: countsUse)
        } catch {
            throw SetupProblem(error)
        }
    }

    private static func details(_ plan: SandboxPlan) -> String {
        let identity = plan.identity
        return "runs as uid \(identity.insideUser) (\(identity.hostUser) on the host) in \(plan.workingFolder); "
            + "\(plan.mounts.count) mounts, \(plan.protectedNames.count) protected names watched, "
            + "Landlock ABI \(plan.landlock.abi), \(plan.seccomp)"
    }

    private static func announcement(
        _ plan: SandboxPlan, _ unenforced: [String], _ recorder: SessionRecorder
    ) -> String {
        var line = "tier \(plan.tier.rawValue), profile \(plan.profile), network \(plan.network.rawValue)"
        line += ", session \(recorder.identifier)"
        if !unenforced.isEmpty { line += "; not enforced: " + unenforced.joined(separator: "; ") }
        return line
    }
}
