import Enforce
import HostView
import LinuxSystem
import Plan
import Profile
import Seccomp

/// The tier at work: what answers the kernel's questions and watches names, tied to the event loop.
final class Enforcement {
    let plan: SandboxPlan
    let loop: EventLoop
    let sink: Violations
    private let gate: ViolationGate
    private let quarantinePath: String
    /// What repeats is added up for a moment, and passed on with its count: the threat level waits for it.
    private let settling: Timer
    private(set) var arbiter: FanotifyArbiter?
    private var names: NameWatcher?
    /// Open until the process ends.
    private var held: [Int32] = []
    private var patterns: NamePatternWatcher?
    /// What the file systems at hand keep from being enforced.
    var unenforced: [String] = []
    private var observer: SystemCallObserver?
    var kernel: KernelEnforcement?
    private var home: FileDescriptor?
    private var files: HomeFiles?
    /// Laid out when first asked: in tiers landlock and bpf nothing asks before something is refused, in tier fanotify the
    /// agent's first execution, and it takes a while.
    private lazy var decider = ProfileDecider(
        RuleSet(plan.rules), unknown: .deny,
        mounts: plan.mounts.map { .init(target: $0.target, isSettled: Self.isSettled($0, plan)) })
    var policy: PolicyWatch?
    /// What the threat policy denies of system calls; `nil`: nothing.
    var threats: PolicyCalls?
    /// The plan's filter with these in front.
    var filter: SeccompFilter?

    /// - Parameter session: the session's folder; what is moved aside goes into a folder of it.
    init(plan: SandboxPlan, loop: EventLoop, sink: Violations, session: String) {
        self.plan = plan
        self.loop = loop
        self.sink = sink
        gate = ViolationGate(sink, window: 50_000_000)
        quarantinePath = session + "/removed"
        settling = loop.timer { [gate] in gate.settle() }
    }

    /// Everything that must be there before the agent starts.
    func start(_ tier: TierHandles, policy source: PolicySource?) throws(SystemError) {
        if let permissions = tier.permissions { try answerOpens(permissions.group) }
        if let guardian = tier.kernel {
            kernel = KernelEnforcement(
                guardian, loop: loop, events: KernelEvents(decider: { [unowned self] in decider }, sink: sink), sink)
        }
        if let source { try followPolicy(source) }
        try watchNames()
        sink.onViolation = { [unowned self] in settling.start(after: 60) }
    }

    /// What can wait until the child is on its way, and comes before anybody asks.
    func warmUp() {
        arbiter?.settle(beforehand: plan.programPlaces + Self.openedByAll)
    }

    /// What the start of nearly every program opens: the loader, its cache, the C library. Each is a question that two threads
    /// wait for.
    private static let openedByAll: [String] = {
        #if arch(x86_64)
            let (loader, library) = ("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6")
        #else
            let (loader, library) = ("/lib/ld-linux-aarch64.so.1", "/lib/aarch64-linux-gnu/libc.so.6")
        #endif
        // The last where the libraries of an architecture have no folder of their own.
        return [loader, "/etc/ld.so.cache", library, "/lib64/libc.so.6"]
    }()

    private func answerOpens(_ group: borrowing FanotifyGroup) throws(SystemError) {
        var denied = DeniedObjects()
        for object in plan.deniedObjects {
            denied[object.identity] = Int32(object.rule)
            // Held: its number is not given to another file while it counts.
            if case .path(let path) = plan.rules[object.rule].pattern,
                let file = try? FileDescriptor.openWithoutSymlinks(path, O_PATH)
            {
                held.append(file.release())
            }
        }
        try watchPatterns()
        let arbiter: FanotifyArbiter
        do {
            arbiter = try FanotifyArbiter(
                group: group, decider: self.decider, deniedObjects: denied, gate: gate, names: patterns)
        } catch {
            throw error.doing("keeping the group of permission events")
        }
        arbiter.tellsAllowed = plan.streams.trace
        answer(arbiter)
        self.arbiter = arbiter
    }

    /// Read-only from inside, and shown nowhere else in the sandbox: see ``FanotifyArbiter``'s fast path.
    /// Name patterns hold for what is renamed, too.
    private func watchPatterns() throws(SystemError) {
        let found = plan.rules.enumerated().compactMap { index, rule -> NamePattern? in
            guard case .suffix(let names) = rule.pattern else { return nil }
            switch rule.access {
            case .deny: return NamePattern(names: names, access: .deny, rule: Int32(index))
            case .protect: return NamePattern(names: names, access: .protect, rule: Int32(index))
            case .read, .write, .execute, .tmpfs: return nil
            }
        }
        guard !found.isEmpty else { return }
        let roots = plan.mounts.compactMap { mount -> NamePatternWatcher.Root? in
            guard case .bind(let source, _, true, _) = mount.kind, !mount.readOnly else { return nil }
            return NamePatternWatcher.Root(hostPath: source, insidePath: mount.target)
        }
        let watcher = try NamePatternWatcher(
            roots: roots, patterns: found, decider: self.decider, quarantine: Quarantine(path: quarantinePath),
            gate: gate)
        loop.watch(watcher.descriptor) { _ in watcher.handle() }
        patterns = watcher
        unenforced += watcher.unwatched.map {
            "name patterns in \($0.insidePath): its file system tells no changes of names, so they hold for opens only"
        }
    }

    private static func isSettled(_ mount: PlannedMount, _ plan: SandboxPlan) -> Bool {
        guard mount.readOnly, mount.idmap == nil, case .bind(let source, _, _, _) = mount.kind,
            !Paths.isAtOrBelow(mount.target, plan.workspace), !Paths.isAtOrBelow(mount.target, plan.identity.home)
        else { return false }
        return plan.mounts.indices.allSatisfy { other in
            guard case .bind(let another, _, _, _) = plan.mounts[other].kind,
                Paths.isAtOrBelow(another, source) || Paths.isAtOrBelow(source, another)
            else { return true }
            return plan.mounts[other].readOnly && plan.mounts[other].target == another
        }
    }

    private func watchNames() throws(SystemError) {
        let paths = plan.protectedNames.compactMap { name in
            NameWatcher.ProtectedPath(
                path: name.path, below: name.root, rule: RuleReference(plan.rules[name.rule], index: name.rule))
        }
        guard !paths.isEmpty else { return }
        let watcher = try NameWatcher(paths, quarantine: Quarantine(path: quarantinePath), gate: gate)
        loop.watch(watcher.descriptor) { _ in watcher.handle() }
        names = watcher
    }

    /// The private home, by a mount of its own that nobody is asked about.
    func keepHome(_ home: consuming FileDescriptor) {
        self.home = consume home
    }

    /// The last preparations, when the sandbox's file system stands and the agent has not started.
    /// - Parameter pid: the sandbox's pid 1, as the host numbers it.
    func complete(inside pid: Int32) throws(SystemError) {
        try kernel?.label(inside: pid)
        guard let home = home.take() else { return }
        let homeFiles = try HomeFiles(
            home: home, files: plan.homeFiles.map(listed), patterns: plan.homePatterns.map(pattern),
            keeper: Quarantine(path: quarantinePath), note: { [sink] note in sink.noteHome(note) })
        loop.watch(homeFiles.descriptor) { _ in homeFiles.handle() }
        files = homeFiles
    }

    private func namesBelowHome(_ path: String) -> [[UInt8]] {
        path.utf8.dropFirst(plan.identity.home.utf8.count).split(separator: UInt8(ascii: "/")).map(Array.init)
    }

    private func listed(_ file: Plan.HomeFile) -> HomeFiles.Listed {
        HomeFiles.Listed(
            names: namesBelowHome(file.path), hostPath: file.hostPath, user: file.user, group: file.group)
    }

    private func pattern(_ pattern: HomePattern) -> HomeFiles.Pattern {
        HomeFiles.Pattern(
            folder: namesBelowHome(pattern.folder), hostFolder: pattern.folder, user: pattern.user,
            group: pattern.group
        ) { [decider] name in
            guard NameGlob.matches(pattern.glob, String(decoding: name, as: UTF8.self)) else { return false }
            let path = Array(pattern.folder.utf8) + [UInt8(ascii: "/")] + name
            return decider.verdict(path.span).access == .full
        }
    }

    /// The filter's listener: from now on its calls wait for answers.
    func listen(_ listener: consuming FileDescriptor) {
        let calls = SystemCallObserver.Calls(
            notice: { number in
                switch SeccompTable.notice(number) {
                case .refused(let counts): .refused(counts: counts)
                case .observed: .observed
                case nil: nil
                }
            },
            name: { SyscallName.name($0) })
        do {
            let observer = try SystemCallObserver(
                listener: listener, calls: calls, decider: { [unowned self] in decider }, gate: gate)
            observer.threats = threats
            loop.watch(observer.descriptor) { [unowned self] events in
                observer.handle()
                loop.stayAwake()
                if events & EPOLLHUP.rawValue != 0 { loop.forget(observer.descriptor) }
            }
            self.observer = observer
        } catch {
            sink.enforcementLost("the system-call listener cannot be served: \(error)")
        }
    }

    /// After the last process is gone: what is still protected is put right, and nothing stays untold.
    func finish() {
        files?.finish()
        if let left = names?.sweep(), !left.isEmpty {
            for path in left {
                sink.remains(path)
            }
        }
        gate.finish()
        if let counts = arbiter?.counts { sink.allowed(counts.allow) }
        kernel?.finish()
    }

    /// Removes what was made for something that was gone before it could be moved aside: then it is empty.
    func clearUp() { unsafe rmdir(quarantinePath) }
}

extension SandboxPlan {
    /// Where the command's program may be.
    fileprivate var programPlaces: [String] {
        let name = String(decoding: arguments.first ?? [], as: UTF8.self)
        if name.utf8.contains(UInt8(ascii: "/")) { return [Paths.normal(name, base: workingFolder)] }
        let path = environment.last { $0.name == "PATH" }?.value ?? ""
        return path.utf8.split(separator: UInt8(ascii: ":")).map { Paths.join(String(Substring($0)), name) }
    }
}
