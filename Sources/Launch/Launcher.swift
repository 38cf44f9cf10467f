import CLaunch
import LinuxSystem
public import Plan
import Seccomp

/// Turns a plan into a running sandbox. Nothing the agent could run exists before every defence is on.
public enum Launcher {
    /// Clones the sandbox's first process, which makes the file systems every sandbox has, and then waits for what the
    /// profile says. It has copies of the descriptors that are open now, so whatever
    /// ``build(_:in:fanotify:)`` and
    /// ``confine(_:in:cgroupTasks:image:reasoning:filterMayChange:)`` hand it must be.
    /// - Parameter cgroup: a cgroup v2 directory to be born in.
    public static func begin(
        _ foundation: Foundation, cgroup: Int32?, guardian: Guardian
    ) throws(LaunchFailure) -> SandboxedProcess {
        let sockets = try MessageSockets()
        let first = FoundationSteps(foundation: foundation)
        var steps = StepList()
        first.write(to: &steps)
        let stack: Stack
        do { stack = try Stack(size: 128 << 10) } catch { throw LaunchFailure(error.doing("making the child's stack")) }
        let setup = UnsafeMutablePointer<mis_setup>.allocate(capacity: 1)
        unsafe setup.initialize(to: mis_setup())
        unsafe setup.pointee.descriptor_socket = sockets.theirs.number
        unsafe setup.pointee.launcher_socket = sockets.ourNumber
        unsafe _ = mis_give(setup, steps.list())
        do throws(Errno) {
            let (pid, pidfd) = try unsafe guardian.clone(
                setup, flags: first.cloneFlags, cgroup: cgroup ?? -1, on: stack)
            return unsafe SandboxedProcess(
                pid: pid, foundation: foundation, process: FileDescriptor(owning: pidfd), messages: sockets.takeOurs(),
                status: sockets.theirs.number, setup: setup, steps: steps, stack: stack)
        } catch {
            unsafe setup.deallocate()
            throw LaunchFailure(error.doing("cloning the sandbox"), call: Int32(SYS_clone3))
        }
    }

    /// Gives the sandbox what the profile says; it goes on to its other namespaces, and then waits for its plan.
    /// - Parameters:
    ///   - ground: on the foundation the sandbox was begun on.
    ///   - cgroupFolders: folders to make besides, if they are not there and can be made.
    public static func lay(
        _ ground: Groundwork, for sandbox: SandboxedProcess, cgroupFolders: [String]
    ) throws(LaunchFailure) {
        guard ground.foundation == sandbox.foundation else {
            throw LaunchFailure(Errno(EINVAL).doing("giving a sandbox the ground", "of another"))
        }
        var steps = StepList()
        GroundSteps(ground: ground, cgroupFolders: cgroupFolders).write(to: &steps)
        sandbox.goOn(steps, ground: ground)
    }

    /// Gives the sandbox its plan's mounts, below the private root.
    /// - Parameters:
    ///   - plan: of the ground that was laid for the sandbox.
    ///   - fanotify: the permission group, where opens are asked about; marked by the child before the agent runs.
    public static func build(
        _ plan: SandboxPlan, in sandbox: SandboxedProcess, fanotify: Int32?
    ) throws(LaunchFailure) {
        guard plan.groundwork == sandbox.ground else {
            throw LaunchFailure(Errno(EINVAL).doing("giving a sandbox the plan", "of another"))
        }
        var steps = StepList()
        let idmaps = try IdmapTable(plan)
        var root = RootSteps(plan: plan, idmaps: idmaps, fanotify: fanotify)
        root.write(to: &steps)
        sandbox.goOn(steps, ground: plan.groundwork)
        // The child needs them for the last of its mounts, and is at the first.
        try idmaps.make(for: plan.identity, handingTo: sandbox)
    }

    /// Gives the sandbox what confines it, the last of its steps. It enters its cgroups and the private root, and goes as far
    /// as it can without the supervisor: see ``SandboxedProcess/open()``.
    /// - Parameters:
    ///   - cgroupTasks: v1 `tasks` files; the child writes itself into each.
    ///   - image: the sandbox's init, from ``InitImage/open()``.
    ///   - reasoning: the writing end the agent gets as `MIS_REASONING_FD`.
    ///   - filterMayChange: whether ``SandboxedProcess/use(_:)`` may follow.
    public static func confine(
        _ plan: SandboxPlan, in sandbox: SandboxedProcess, cgroupTasks: [String], image: Int32, reasoning: Int32?,
        filterMayChange: Bool
    ) throws(LaunchFailure) {
        let filter: SeccompFilter
        do {
            filter = try SeccompFilters.filter(for: plan.seccomp)
        } catch {
            throw LaunchFailure(Errno(EINVAL).doing("making the system-call filter", "\(error)"))
        }
        var steps = StepList()
        for tasks in cgroupTasks {
            steps.add(mis_step_join_cgroup, deed: "joining the cgroup", object: tasks, path: tasks)
        }
        // Its root is where its maker is.
        steps.add(mis_step_unshare, deed: "making the cgroup namespace", number: UInt64(CLONE_NEWCGROUP))
        steps.add(mis_step_pivot, deed: "entering the private root")
        let mask = umask(0)
        umask(mask)
        let execution = unsafe execution(
            plan, image: image, status: sandbox.status, reasoning: reasoning, arena: steps.arena)
        unsafe ConfinementSteps(plan: plan).write(
            umask: mask, execution: execution, filter: filter, mayChange: filterMayChange, to: &steps)
        sandbox.filterMayChange = filterMayChange
        sandbox.goOn(steps, ground: plan.groundwork)
    }

    private static func execution(
        _ plan: SandboxPlan, image: Int32, status: Int32, reasoning: Int32?, arena: StepArena
    ) -> mis_execution {
        var options = ""
        if plan.terminals.contains(true) { options += "t" }
        if reasoning != nil { options += "r" }
        let peer = ~Slot.terminalPeer.rawValue
        let stdio = plan.terminals.enumerated().map { $0.element ? peer : Int32($0.offset) }
        var execution = unsafe mis_execution()
        unsafe execution.image = image
        unsafe execution.stdio = (stdio[0], stdio[1], stdio[2])
        unsafe execution.reasoning = reasoning ?? .min
        unsafe execution.status = status
        unsafe execution.terminal = plan.terminals.contains(true) ? peer : .min
        unsafe execution.arguments = arena.strings([Array("mis-init".utf8), Array(options.utf8)] + plan.arguments)
        unsafe execution.environment = arena.strings(plan.environment.map { Array("\($0.name)=\($0.value)".utf8) })
        return unsafe execution
    }
}

/// The pair over which the child sends descriptors and the init its messages.
private final class MessageSockets {
    let theirs: FileDescriptor
    private var ours: FileDescriptor?

    init() throws(LaunchFailure) {
        var pair: [Int32] = [-1, -1]
        do {
            try kernel {
                unsafe socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair)
            }
        } catch {
            throw LaunchFailure(error.doing("making the sockets to the sandbox"))
        }
        ours = FileDescriptor(owning: pair[0])
        theirs = FileDescriptor(owning: pair[1])
        _ = clinux_set_nonblocking(pair[0])
    }

    /// Our end, while it has not been taken.
    var ourNumber: Int32 { ours?.number ?? -1 }

    /// Our end, once.
    func takeOurs() -> FileDescriptor {
        ours.take() ?? FileDescriptor(owning: -1)
    }
}
