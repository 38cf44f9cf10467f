import Cgroup
import Launch
import LinuxSystem
import Plan
import Profile
import Supervise

/// What a run makes before its plan is known: the guardian, the cgroup, and the sandbox's first process, which is at its
/// mounts while the launcher reads the profile, and at its namespaces while the launcher looks at the host and plans.
///
/// Nothing of it depends on what planning finds out, and nothing of the agent's is in it. When the profile or the plan is
/// refused, or anything else fails, it all goes again: ``abandon()``.
final class HeadStart {
    let guardian: Guardian
    /// With its limits, once the sandbox is launched; nil where none can be made.
    private(set) var cgroup: SandboxCgroup?
    /// Limits that do not hold on this machine.
    private(set) var unenforced: [String] = []
    /// What the tier needs. Tier bpf's is made when the plan is known.
    private(set) var tier: TierHandles
    private let foundation: Foundation
    private let cgroups: CgroupHierarchy?
    private let name = CgroupName.new()
    /// The v2 folder, until it is the cgroup's.
    private var birthplace: CgroupBirthplace?
    /// The sandbox's init, until the first process has it.
    private var image: FileDescriptor?
    private let reasoning: ReasoningPipe
    private var ground: Groundwork?
    private var first: First?
    private var isLimited = false
    private var isAbandoned = false

    /// The first process, and its own descriptors' numbers.
    private struct First {
        var process: SandboxedProcess
        var image: Int32
        var reasoning: Int32?
    }

    init(_ foundation: Foundation, tier: Tier, cgroups: CgroupHierarchy?) throws(SetupProblem) {
        self.foundation = foundation
        self.cgroups = cgroups
        do throws(LaunchFailure) { guardian = try Guardian() } catch { throw SetupProblem(error.error) }
        do {
            image = try InitImage.open()
            self.tier = TierHandles(permissions: tier == .fanotify ? try PermissionGroup() : nil, kernel: nil)
            reasoning = try ReasoningPipe()
        } catch {
            throw Self.problem(error)
        }
        // Before they are made: whoever kills us in between leaves nothing.
        guardian.watch(cgroups: cgroups?.places(of: name) ?? [])
        if let cgroups {
            do {
                birthplace = try CgroupBirthplace(name: name, in: cgroups)
            } catch {
                // It is tried once more with the limits, and told then.
            }
        }
    }

    /// Clones the first process. It waits for the ground once it has made what every sandbox has.
    func begin() throws(SetupProblem) {
        guard let image = image.take() else { throw SetupProblem("the sandbox was begun before") }
        do throws(LaunchFailure) {
            let process = try Launcher.begin(
                foundation, cgroup: birthplace?.directory ?? cgroup?.cloneInto, guardian: guardian)
            first = First(process: process, image: image.number, reasoning: reasoning.writer)
            // It has copies; the reasoning ends when the agent's side is closed.
            reasoning.closeWriter()
        } catch {
            throw Self.problem(error)
        }
    }

    /// Gives the first process what the profile says, if there is one already.
    func lay(_ ground: Groundwork) throws(SetupProblem) {
        self.ground = ground
        if let first { try lay(ground, for: first.process) }
    }

    private func lay(_ ground: Groundwork, for process: SandboxedProcess) throws(SetupProblem) {
        do throws(LaunchFailure) {
            // By the time the limits are to be set there, the child has made them.
            var folders: [String] = []
            if let birthplace, let cgroups {
                folders = birthplace.furtherFolders(for: CgroupLimits(ground.limits), in: cgroups)
            }
            try Launcher.lay(ground, for: process, cgroupFolders: folders)
        } catch {
            throw Self.problem(error)
        }
    }

    /// Gives it the plan, and makes the cgroup with its limits while the plan's mounts are made.
    /// - Parameters:
    ///   - arbiter: the kernel's programs, in tier bpf.
    ///   - hasPolicy: there is a threat policy, which may deny system calls.
    func launch(
        _ plan: SandboxPlan, _ arbiter: KernelArbiter?, hasPolicy: Bool
    ) throws(SetupProblem) -> SandboxedProcess {
        if first == nil {
            try limit(plan.groundwork)
            if plan.tier == .bpf { try register(plan, arbiter) }
            try begin()
            if let ground, let first { try lay(ground, for: first.process) }
        }
        guard let first else { throw SetupProblem("the sandbox has not been begun") }
        do throws(LaunchFailure) {
            try Launcher.build(plan, in: first.process, fanotify: tier.permissions?.descriptor)
        } catch {
            throw Self.problem(error)
        }
        if !isLimited { try limit(plan.groundwork) }
        do throws(LaunchFailure) {
            try Launcher.confine(
                plan, in: first.process, cgroupTasks: cgroup?.joins ?? [], image: first.image,
                reasoning: plan.streams.reasoning ? first.reasoning : nil, filterMayChange: hasPolicy)
        } catch {
            throw Self.problem(error)
        }
        return first.process
    }

    private func limit(_ ground: Groundwork) throws(SetupProblem) {
        (cgroup, unenforced) = try makeCgroup(ground.limits)
        birthplace = nil
        isLimited = true
        guardian.watch(killFile: cgroup?.killFile)
    }

    /// The reading end of the agent's reasoning, once, if the plan gives the agent the other.
    func takeReasoning(_ plan: SandboxPlan) -> FileDescriptor? {
        plan.streams.reasoning ? reasoning.takeReader() : nil
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

    /// Reaps the launch's helpers.
    func clearUp() { first?.process.reapHelpers() }

    /// Takes everything back; the guardian ends with this process.
    func abandon() {
        if isAbandoned { return }
        isAbandoned = true
        first?.process.abandon()
        tier.kernel?.end()
        if let cgroup { do { try cgroup.remove() } catch { Messages.say("\(error)") } }
        guard let birthplace, let cgroups else { return }
        do { try birthplace.remove(in: cgroups) } catch { Messages.say("\(error)") }
    }

    private func makeCgroup(
        _ limits: PlannedLimits
    ) throws(SetupProblem) -> (cgroup: SandboxCgroup?, unenforced: [String]) {
        let limits = CgroupLimits(limits)
        guard let cgroups else {
            return (nil, limits.unenforced(because: "no cgroup can be made here").map(\.description))
        }
        do {
            let cgroup = try SandboxCgroup.create(name: name, limits: limits, in: cgroups, birthplace: birthplace)
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

extension CgroupLimits {
    init(_ limits: PlannedLimits) {
        self.init(
            memory: limits.memory, memoryHigh: limits.memoryHigh, cpuPercent: limits.cpuPercent,
            cpuWeight: limits.cpuWeight, processes: limits.pids, ioWeight: limits.ioWeight)
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
