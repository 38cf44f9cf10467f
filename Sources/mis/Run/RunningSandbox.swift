import Cgroup
import Launch
import LinuxSystem
import Plan
import Record
import Supervise

/// The order in which a sandbox comes up, and goes.
///
/// Cgroup first; then the record, the guardian and the tier's machinery; only then the clone. Whatever fails on the way
/// throws, and what was made so far goes with its owners.
final class RunningSandbox {
    /// What is not enforced, all told: by the tier and by the machine's cgroups.
    let unenforced: [String]
    private let plan: SandboxPlan
    private let cgroup: SandboxCgroup?
    private let recorder: SessionRecorder
    private let guardian: Guardian
    private let thread: SupervisorThread

    init(
        setup: RunSetup, identifier: SessionIdentifier, signals: consuming SignalSource, options: RunArguments
    ) throws(SetupProblem) {
        plan = setup.plan
        let detection = CgroupHierarchy.detect()
        let name = CgroupName.new()
        do throws(LaunchFailure) { guardian = try Guardian() } catch { throw SetupProblem(error.error) }
        // Before they are made: whoever kills us in between leaves nothing.
        guardian.watch(cgroups: detection.hierarchy?.places(of: name) ?? [])
        let placed = try Self.makeCgroup(plan, name, detection)
        cgroup = placed.cgroup
        var gaps = plan.unenforced + placed.unenforced
        do throws(SetupProblem) {
            try Self.accept(gaps, plan)
            guardian.watch(killFile: cgroup?.killFile)
            let start = try Self.start(plan, cgroup: cgroup, guardian: guardian)
            do throws(SetupProblem) {
                // The child sets up on its own meanwhile, and waits for us before anything of the agent runs.
                let alarm = try SetupProblem.from { () throws(SystemError) in try RecordAlarm() }
                recorder = try Self.startRecord(setup, identifier, alarm)
                let supervisor = try Self.prepare(
                    start, plan, cgroup: cgroup, recorder: recorder, alarm: alarm, guardian: guardian, signals: signals)
                gaps += supervisor.unenforced
                try Self.accept(gaps, plan)
                unenforced = gaps
                do throws(Errno) {
                    thread = try SupervisorThread(supervisor, serving: start.process, recorder: recorder)
                } catch {
                    throw SetupProblem(error.doing("starting the supervisor's thread"))
                }
            } catch {
                start.process.abandon()
                throw error
            }
            if !options.quiet { Messages.say(Self.announcement(plan, unenforced, recorder)) }
        } catch {
            Self.remove(placed.cgroup)
            throw error
        }
        if options.verbose { Messages.say(Self.details(plan)) }
        // While the sandbox comes up: what dead launchers left.
        if let hierarchy = detection.hierarchy { _ = StaleCgroups.collect(in: hierarchy) }
    }

    /// Serves the record until the sandbox is gone.
    func finish() throws(SetupProblem) -> SandboxOutcome {
        recorder.run()
        guard var outcome = thread.join() else { throw SetupProblem("the supervisor ended without a result") }
        Self.remove(cgroup)
        guardian.disarm()
        recorder.append(.outcome, .alert) { writer in
            writer.member("event", "end")
            writer.member("reason", outcome.exit.reason.rawValue)
            writer.member("code", outcome.exit.code)
            writer.member("signal", outcome.exit.signal)
            writer.member("duration_ms", outcome.durationMilliseconds)
        }
        outcome.lostEvents = recorder.finish().lost
        return outcome
    }

    private static func remove(_ cgroup: SandboxCgroup?) {
        guard let cgroup else { return }
        do { try cgroup.remove() } catch { Messages.say("\(error)") }
    }

    private static func makeCgroup(
        _ plan: SandboxPlan, _ name: CgroupName, _ detection: CgroupDetection
    ) throws(SetupProblem) -> (cgroup: SandboxCgroup?, unenforced: [String]) {
        let limits = CgroupLimits(
            memory: plan.limits.memory, memoryHigh: plan.limits.memoryHigh, cpuPercent: plan.limits.cpuPercent,
            cpuWeight: plan.limits.cpuWeight, processes: plan.limits.pids, ioWeight: plan.limits.ioWeight)
        guard let hierarchy = detection.hierarchy else {
            return (nil, limits.unenforced(because: "no cgroup can be made here").map(\.description))
        }
        do {
            let cgroup = try SandboxCgroup.create(name: name, limits: limits, in: hierarchy)
            return (cgroup, cgroup.unenforced.map(\.description))
        } catch {
            guard [EACCES, EPERM, EROFS].contains(error.errno.code) else { throw SetupProblem(error) }
            return (nil, limits.unenforced(because: "\(error)").map(\.description))
        }
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

    /// A cloned sandbox whose agent has not started, and what it was given.
    private struct Start {
        var process: SandboxedProcess
        var permissions: PermissionGroup?
        var reasoning: ReasoningPipe?
    }

    private static func start(
        _ plan: SandboxPlan, cgroup: SandboxCgroup?, guardian: Guardian
    ) throws(SetupProblem) -> Start {
        do {
            let permissions = plan.tier == .fanotify ? try PermissionGroup() : nil
            let reasoning = plan.streams.reasoning ? try ReasoningPipe() : nil
            let process = try Launcher.launch(
                plan, cgroup: CgroupEntrance(directory: cgroup?.cloneInto, tasks: cgroup?.joins ?? []),
                fanotify: permissions?.descriptor, reasoning: reasoning?.writer, guardian: guardian)
            return Start(process: process, permissions: permissions, reasoning: reasoning)
        } catch let error as SystemError {
            throw SetupProblem(error)
        } catch let error as LaunchFailure {
            var problem = SetupProblem(error.error)
            problem.sentences = [FailureText.explain(error)]
            throw problem
        } catch {
            throw SetupProblem("\(error)")
        }
    }

    /// Throws when something is not enforced and the profile wants all or nothing.
    private static func accept(_ unenforced: [String], _ plan: SandboxPlan) throws(SetupProblem) {
        guard plan.gaps == .refuse, !unenforced.isEmpty else { return }
        throw SetupProblem(
            sentences: unenforced.map { "cannot be enforced here, and gaps = \"refuse\": \($0)" })
    }

    private static func prepare(
        _ start: Start, _ plan: SandboxPlan, cgroup: SandboxCgroup?, recorder: SessionRecorder, alarm: RecordAlarm,
        guardian: Guardian, signals: consuming SignalSource
    ) throws(SetupProblem) -> Supervisor {
        do {
            return try Supervisor(
                plan: plan, cgroup: cgroup, guardian: guardian, recorder: recorder, alarm: alarm,
                signals: signals, permissions: start.permissions, reasoning: start.reasoning?.takeReader())
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

/// The pipe of the agent's reasoning; our writing end closes when this goes.
private final class ReasoningPipe {
    private var reader: FileDescriptor?
    private let writing: FileDescriptor

    init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        do {
            try kernel { unsafe clinux_pipe(&ends) }
        } catch {
            throw error.doing("making the reasoning pipe")
        }
        reader = FileDescriptor(owning: ends[0])
        writing = FileDescriptor(owning: ends[1])
    }

    var writer: Int32 { writing.number }

    func takeReader() -> FileDescriptor? { reader.take() }
}
