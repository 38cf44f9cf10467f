import Enforce
import HostView
import LinuxSystem
import Plan
import Profile

/// The tier at work: what answers the kernel's questions and watches names, tied to the event loop.
final class Enforcement {
    private let plan: SandboxPlan
    private let loop: EventLoop
    private let sink: Violations
    private let gate: ViolationGate
    private let quarantinePath: String
    private let settling: Timer
    private var arbiter: FanotifyArbiter?
    private var names: NameWatcher?

    /// - Parameter session: the session's folder; what is moved aside goes into a folder of it.
    init(plan: SandboxPlan, loop: EventLoop, sink: Violations, session: String) throws(SystemError) {
        self.plan = plan
        self.loop = loop
        self.sink = sink
        gate = ViolationGate(sink)
        quarantinePath = session + "/removed"
        settling = try Timer()
    }

    /// The group the set-up child marks the sandbox's mounts for.
    var permissionGroup: Int32? { arbiter?.descriptor }

    /// Everything that must be there before the agent is cloned.
    func start() throws(SystemError) {
        if plan.tier == .fanotify { try answerOpens(FanotifyGroup()) }
        try watchNames()
        // What repeats is added up for a moment, and passed on with its count.
        settling.start(after: 500, every: 500)
        loop.watch(settling.descriptor) { [unowned self] _ in
            settling.acknowledge()
            gate.settle()
        }
    }

    private func answerOpens(_ group: borrowing FanotifyGroup) throws(SystemError) {
        let decider = ProfileDecider(RuleSet(plan.rules), unknown: .deny, mounts: plan.mounts.map { mount in
            .init(target: mount.target, isSettled: isSettled(mount))
        })
        var denied: [ObjectIdentity: Int32] = [:]
        for object in plan.deniedObjects { denied[object.identity] = Int32(object.rule) }
        let arbiter: FanotifyArbiter
        do {
            arbiter = try FanotifyArbiter(group: group, decider: decider, deniedObjects: denied, gate: gate)
        } catch {
            throw error.doing("keeping the group of permission events")
        }
        loop.watch(arbiter.descriptor) { _ in arbiter.handle() }
        self.arbiter = arbiter
    }

    /// Read-only from inside, and shown nowhere else in the sandbox: see ``FanotifyArbiter``'s fast path.
    private func isSettled(_ mount: PlannedMount) -> Bool {
        guard mount.readOnly, mount.idmap == nil, case .bind(let source, _, _, _) = mount.kind,
            !Paths.isAtOrBelow(mount.target, plan.workspace), !Paths.isAtOrBelow(mount.target, plan.identity.home)
        else { return false }
        return plan.mounts.allSatisfy { other in
            guard case .bind(let another, _, _, _) = other.kind,
                Paths.isAtOrBelow(another, source) || Paths.isAtOrBelow(source, another)
            else { return true }
            return other.readOnly && other.target == another
        }
    }

    private func watchNames() throws(SystemError) {
        let paths = plan.protectedNames.compactMap { name in
            NameWatcher.ProtectedPath(path: name.path, below: name.root, rule: violationRule(name.rule))
        }
        guard !paths.isEmpty else { return }
        let watcher = try NameWatcher(paths, quarantine: Quarantine(path: quarantinePath), gate: gate)
        loop.watch(watcher.descriptor) { _ in watcher.handle() }
        names = watcher
    }

    private func violationRule(_ index: Int) -> RuleReference {
        let rule = plan.rules[index]
        return RuleReference(
            text: "\(rule.access.rawValue) \"\(rule.text)\"", origin: rule.origin.description, index: index)
    }

    /// The private home, by a mount of its own that nobody is asked about.
    func keepHome(_ home: consuming FileDescriptor) {
        _ = home
    }

    func listen(_ listener: consuming FileDescriptor) {
        _ = listener
    }

    /// After the last process is gone: what is still protected is put right, and nothing stays untold.
    func finish() {
        if let left = names?.sweep(), !left.isEmpty {
            for path in left {
                sink.remains(path)
            }
        }
        gate.finish()
        if let counts = arbiter?.counts { sink.allowed(counts.allow) }
    }
}
