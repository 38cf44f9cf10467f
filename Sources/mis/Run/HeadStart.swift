import Cgroup
import Launch
import LinuxSystem
import Plan
import Profile
import Supervise

/// What a run makes before its plan is known: the guardian, the cgroup with its limits, and the sandbox's first process,
/// which is at its namespaces while the launcher looks at the host and plans.
///
/// Nothing of it depends on what planning finds out, and nothing of the agent's is in it. When the plan is refused, or
/// anything else fails, it all goes again: ``abandon()``.
final class HeadStart {
    let guardian: Guardian
    let cgroup: SandboxCgroup?
    /// Limits that do not hold on this machine.
    let unenforced: [String]
    /// The sandbox's init, until the first process has it.
    private(set) var image: FileDescriptor?
    /// What the tier needs. Tier bpf's is made when the plan is known.
    private(set) var tier: TierHandles
    let reasoning: ReasoningPipe?
    private let ground: Groundwork
    private var first: First?

    /// The first process, and its own descriptors' numbers.
    private struct First {
        var process: SandboxedProcess
        var image: Int32
        var reasoning: Int32?
    }

    /// - Parameter reasoning: whether the agent gets a descriptor for its reasoning.
    init(_ ground: Groundwork, tier: Tier, reasoning: Bool, cgroups: CgroupHierarchy?) throws(SetupProblem) {
        self.ground = ground
        let name = CgroupName.new()
        let made: (cgroup: SandboxCgroup?, unenforced: [String])
        do throws(LaunchFailure) { guardian = try Guardian() } catch { throw SetupProblem(error.error) }
        // Before they are made: whoever kills us in between leaves nothing.
        guardian.watch(cgroups: cgroups?.places(of: name) ?? [])
        made = try Self.makeCgroup(ground.limits, name, cgroups)
        cgroup = made.cgroup
        unenforced = made.unenforced
        guardian.watch(killFile: cgroup?.killFile)
        do {
            image = try InitImage.open()
            self.tier = TierHandles(permissions: tier == .fanotify ? try PermissionGroup() : nil, kernel: nil)
            self.reasoning = reasoning ? try ReasoningPipe() : nil
        } catch {
            Self.remove(made.cgroup)
            throw Self.problem(error)
        }
    }

    /// Clones the first process. It waits for its plan once it has made what every sandbox has.
    func begin() throws(SetupProblem) {
        guard let image = image.take() else { throw SetupProblem("the sandbox was begun before") }
        do throws(LaunchFailure) {
            let process = try Launcher.begin(
                ground, cgroup: CgroupEntrance(directory: cgroup?.cloneInto, tasks: cgroup?.joins ?? []),
                guardian: guardian)
            first = First(process: process, image: image.number, reasoning: reasoning?.writer)
            // It has copies; the reasoning ends when the agent's side is closed.
            reasoning?.closeWriter()
        } catch {
            throw Self.problem(error)
        }
    }

    /// Gives it the plan.
    /// - Parameter arbiter: the kernel's programs, in tier bpf.
    func launch(_ plan: SandboxPlan, _ arbiter: KernelArbiter?) throws(SetupProblem) -> SandboxedProcess {
        if first == nil {
            if plan.tier == .bpf { try register(plan, arbiter) }
            try begin()
        }
        guard let first else { throw SetupProblem("the sandbox has not been begun") }
        do throws(LaunchFailure) {
            try Launcher.launch(
                plan, from: first.process, image: first.image, fanotify: tier.permissions?.descriptor,
                reasoning: first.reasoning)
        } catch {
            throw Self.problem(error)
        }
        return first.process
    }

    /// Tier bpf: the sandbox is in the kernel's tables before anything of it exists.
    private func register(_ plan: SandboxPlan, _ arbiter: KernelArbiter?) throws(SetupProblem) {
        guard let arbiter, let folder = cgroup?.cloneInto, let image = image?.number else {
            throw SetupProblem(
                "tier bpf knows a sandbox by its cgroup, and none could be made in the v2 tree; 'mis doctor' says why")
        }
        do {
            if plan.asksAboutOpens { tier.permissions = try PermissionGroup() }
            tier.kernel = try arbiter.register(plan, cgroup: folder, image: image)
        } catch {
            throw Self.problem(error)
        }
    }

    /// Takes everything back; the guardian ends with this process.
    func abandon() {
        first?.process.abandon()
        tier.kernel?.end()
        Self.remove(cgroup)
    }

    static func remove(_ cgroup: SandboxCgroup?) {
        guard let cgroup else { return }
        do { try cgroup.remove() } catch { Messages.say("\(error)") }
    }

    private static func makeCgroup(
        _ limits: PlannedLimits, _ name: CgroupName, _ hierarchy: CgroupHierarchy?
    ) throws(SetupProblem) -> (cgroup: SandboxCgroup?, unenforced: [String]) {
        let limits = CgroupLimits(
            memory: limits.memory, memoryHigh: limits.memoryHigh, cpuPercent: limits.cpuPercent,
            cpuWeight: limits.cpuWeight, processes: limits.pids, ioWeight: limits.ioWeight)
        guard let hierarchy else {
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

    private static func problem(_ error: any Error) -> SetupProblem {
        switch error {
        case let error as SystemError: return SetupProblem(error)
        case let error as LaunchFailure:
            var problem = SetupProblem(error.error)
            problem.sentences = [FailureText.explain(error)]
            return problem
        default: return SetupProblem("\(error)")
        }
    }
}

/// The pipe of the agent's reasoning.
final class ReasoningPipe {
    private var reader: FileDescriptor?
    private var writing: FileDescriptor?

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

    var writer: Int32? { writing?.number }

    func closeWriter() { writing = nil }

    func takeReader() -> FileDescriptor? { reader.take() }
}
