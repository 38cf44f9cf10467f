import CLaunch
import LinuxSystem
public import Plan
import Seccomp

/// Where the sandbox is born.
public struct CgroupEntrance: Sendable {
    /// A cgroup v2 directory for CLONE_INTO_CGROUP.
    public var directory: Int32?
    /// v1 `tasks` files, open for writing; the child writes itself into each.
    public var tasks: [Int32]

    public init(directory: Int32? = nil, tasks: [Int32] = []) {
        self.directory = directory
        self.tasks = tasks
    }
}

/// Turns a plan into a running sandbox. Nothing the agent could run exists before every defence is on.
public enum Launcher {
    /// - Parameters:
    ///   - fanotify: the permission group, in tier fanotify; marked by the child before the agent runs.
    ///   - reasoning: the writing end the agent gets as `MIS_REASONING_FD`.
    public static func launch(
        _ plan: SandboxPlan, cgroup: CgroupEntrance, fanotify: Int32?, reasoning: Int32?, guardian: Guardian
    ) throws(LaunchFailure) -> SandboxedProcess {
        let image = try InitImage.open()
        let sockets = try MessageSockets()
        let idmaps = try IdmapTable(plan)
        let filter: SeccompFilter
        do {
            filter = try SeccompFilters.filter(for: plan.seccomp)
        } catch {
            throw LaunchFailure(Errno(EINVAL).doing("making the system-call filter", "\(error)"))
        }

        var steps = StepList()
        let confinement = ConfinementSteps(plan: plan)
        confinement.writeBefore(cgroupTasks: cgroup.tasks, to: &steps)
        var root = RootSteps(plan: plan, idmaps: idmaps.numbers, fanotify: fanotify)
        root.write(to: &steps)
        let mask = umask(0)
        umask(mask)
        let execution = unsafe execution(
            plan, image: image.number, status: sockets.theirs.number, reasoning: reasoning, arena: steps.arena)
        unsafe confinement.writeAfter(umask: mask, execution: execution, filter: filter, to: &steps)

        return try clone(
            steps, flags: confinement.cloneFlags, cgroup: cgroup, sockets: sockets, guardian: guardian)
    }

    private static func clone(
        _ steps: StepList, flags: UInt64, cgroup: CgroupEntrance, sockets: MessageSockets,
        guardian: Guardian
    ) throws(LaunchFailure) -> SandboxedProcess {
        let stack: Stack
        do { stack = try Stack(size: 128 << 10) } catch { throw LaunchFailure(error.doing("making the child's stack")) }
        let setup = UnsafeMutablePointer<mis_setup>.allocate(capacity: 1)
        unsafe setup.initialize(to: mis_setup())
        let table = unsafe steps.steps.withUnsafeBytes { unsafe steps.arena.bytes($0) }
        unsafe setup.pointee.steps = table.assumingMemoryBound(to: mis_step.self)
        unsafe setup.pointee.count = steps.steps.count
        unsafe setup.pointee.descriptor_socket = sockets.theirs.number
        var raw: Int32 = -1
        let pid = unsafe mis_clone_setup(setup, flags, cgroup.directory ?? -1, stack.base, stack.size, &raw)
        if pid < 0 {
            unsafe setup.deallocate()
            throw LaunchFailure(Errno(-pid).doing("cloning the sandbox"), call: Int32(SYS_clone3))
        }
        guardian.watch(agent: raw)
        return unsafe SandboxedProcess(
            pid: pid, process: FileDescriptor(owning: raw), messages: sockets.takeOurs(), setup: setup, steps: steps,
            stack: stack)
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

/// One user namespace for each owner that idmapped mounts show as the agent.
private final class IdmapTable {
    private(set) var numbers: [OwnerMap: Int32] = [:]
    private var holders: [Int32] = []

    init(_ plan: SandboxPlan) throws(LaunchFailure) {
        for map in Set(plan.mounts.compactMap(\.idmap)) {
            var holder: Int32 = 0
            numbers[map] = try OwnerMapping.open(map, identity: plan.identity, holder: &holder).release()
            holders.append(holder)
        }
    }

    /// The child has copies by now. Those who held the namespaces are long dead: nobody waits for them here.
    deinit {
        for number in numbers.values { close(number) }
        for holder in holders { _ = clinux_wait_any_kind(holder) }
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

    /// Our end, once.
    func takeOurs() -> FileDescriptor {
        ours.take() ?? FileDescriptor(owning: -1)
    }
}
