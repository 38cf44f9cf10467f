import Cgroup
import HostView
import KernelSupport
import LinuxSystem
import Plan
import Profile
import Record
import Supervise

/// From the command line to a plan: everything that can be decided before anything is done.
struct RunSetup {
    let plan: SandboxPlan
    let state: StateFolder
    let support: KernelSupport
    /// Tier bpf.
    let arbiter: KernelArbiter?
    /// What was made meanwhile, or why it could not be; nil in a dry run.
    let headStart: Result<HeadStart, SetupProblem>?

    /// Every mistake at once, a sentence each.
    struct Refusal: Error {
        var sentences: [String]
    }

    init(options: RunArguments, session: String) throws(Refusal) {
        var mistakes: [String] = []
        let caller = Self.caller(user: nil, &mistakes)
        support = KernelSupport.probe()
        var machine = Machine(support)
        arbiter = options.dryRun ? nil : Self.openArbiter(&machine, cgroups: support.cgroup.hierarchy?.unified)
        let tier = machine.tiers.max() ?? .landlock
        // The sandbox's first process makes its mounts while the profile is read, and its namespaces while the host is
        // looked at and the rest planned.
        let begun = options.dryRun ? nil : Self.begin(caller, tier: tier, cgroups: support.cgroup.hierarchy)
        let laid: Result<HeadStart, SetupProblem>?
        do throws(Refusal) {
            let (profile, request) = try Self.read(options, session: session, caller, &mistakes)
            let ground = Planner.groundwork(profile: profile, request: request, machine: machine)
            laid = ground.flatMap { ground in begun?.flatMap { Self.lay(ground, $0) } }
            plan = try Self.decide(profile, request, machine, tier: tier)
            state = try Self.stateFolder(options, request.caller, request.currentFolder)
        } catch {
            try? begun?.get().abandon()
            throw error
        }
        headStart = laid
    }

    /// The profile with the command line applied to it, and the request.
    private static func read(
        _ options: RunArguments, session: String, _ caller: Invoker, _ mistakes: inout [String]
    ) throws(Refusal) -> (Profile, LaunchRequest) {
        let current = (try? readLink("/proc/self/cwd")) ?? "/"
        if options.workspace == "" {
            mistakes.append("--workspace \"\": an empty path; name a folder, or leave it out")
        }
        let workspace = canonical(options.workspace ?? current, current)
        let home = caller.account?.home ?? caller.home
        let variables = Variables(
            workspace: workspace, home: home, uid: caller.account?.user ?? caller.user,
            gitCommonDirectory: HostProbe.gitCommonFolder(workspace: workspace))
        let loader = ProfileLoader(
            sources: .machine(home: caller.home, owner: caller.account?.user ?? caller.user), variables: variables)
        var profile: Profile
        do {
            profile = try loader.load(options.profile).profile
        } catch {
            throw Refusal(sentences: mistakes + error.mistakes.map(\.description))
        }
        var request = LaunchRequest(
            command: options.command, workspace: workspace, currentFolder: current, caller: caller, session: session)
        if let user = profile.process.user { request.caller = Self.caller(user: user, &mistakes) }
        apply(
            options, variables: variables, to: &profile, request: &request, current: current, mistakes: &mistakes)
        request.environment = Environment.all().map { EnvironmentVariable($0.name, $0.value) }
        request.terminals = (0...2).map { isatty($0) == 1 }
        request.launcher = getpid()
        request.arguments = RawArguments.last(options.command.count)
        request.sharesNetwork = profile.network.mode == .host
        if options.profile.contains("/") { request.profileFile = Paths.normal(options.profile, base: current) }
        if !mistakes.isEmpty { throw Refusal(sentences: mistakes) }
        return (profile, request)
    }

    /// The kernel's programs, where this machine says it takes them. When it does not after all, a lower tier is in force
    /// unless the request forbids that, and the run says so.
    private static func openArbiter(_ machine: inout Machine, cgroups: String?) -> KernelArbiter? {
        guard machine.tiers.contains(.bpf), let cgroups else { return nil }
        do throws(KernelArbiter.Unavailable) {
            guard unsafe access(cgroups, W_OK) == 0 else {
                throw KernelArbiter.Unavailable("no cgroup can be made in \(cgroups): \(Errno(errno))")
            }
            return try KernelArbiter()
        } catch {
            machine.tiers.removeAll { $0 == .bpf }
            machine.missing[.bpf] = error.description
            machine.refused[.bpf] = error.description
            return nil
        }
    }

    private static func begin(
        _ caller: Invoker, tier: Tier, cgroups: CgroupHierarchy?
    ) -> Result<HeadStart, SetupProblem> {
        Result { () throws(SetupProblem) in
            let foundation = Planner.foundation(caller: caller, launcher: getpid())
            let begun = try HeadStart(foundation, tier: tier, cgroups: cgroups)
            do throws(SetupProblem) {
                // In tier bpf the kernel has to know the sandbox first.
                if tier < .bpf { try begun.begin() }
            } catch {
                begun.abandon()
                throw error
            }
            return begun
        }
    }

    private static func lay(_ ground: Groundwork, _ begun: HeadStart) -> Result<HeadStart, SetupProblem> {
        Result { () throws(SetupProblem) in
            do throws(SetupProblem) {
                try begun.lay(ground)
            } catch {
                begun.abandon()
                throw error
            }
            return begun
        }
    }

    private static func decide(
        _ profile: Profile, _ request: LaunchRequest, _ machine: Machine, tier: Tier
    ) throws(Refusal) -> SandboxPlan {
        do {
            let caller = request.caller
            let home = caller.isPrivileged ? caller.account?.home ?? caller.home : caller.home
            let host = try HostView.gather(profile: profile, request: request, home: home, tier: tier)
            var plan = try Planner.plan(profile: profile, request: request, machine: machine, host: host)
            plan.leaveOutForeignFileSystems()
            if plan.tier < .bpf, let reason = machine.refused[.bpf] {
                plan.unenforced.append("tier bpf: \(reason)")
            }
            return plan
        } catch let error as PlanErrors {
            throw Refusal(sentences: error.sentences)
        } catch {
            throw Refusal(sentences: ["looking at the mounts of this machine: \(error)"])
        }
    }

    private static func stateFolder(
        _ options: RunArguments, _ caller: Invoker, _ current: String
    ) throws(Refusal) -> StateFolder {
        do {
            return try StateFolder(caller: caller, record: options.record.map { Paths.normal($0, base: current) })
        } catch {
            throw Refusal(sentences: [error.description])
        }
    }

    /// Who runs mis, and for whom: under sudo the invoking user, or the account the profile names.
    static func caller(user: String?, _ mistakes: inout [String]) -> Invoker {
        let uid = getuid()
        let home = Environment.value("HOME")
        // Root's name is known, and its agents have one of their own.
        let own = uid == 0 && home != nil ? nil : Account.withUser(uid)
        var caller = Invoker(
            user: uid, group: getgid(), home: home ?? own?.home ?? "/",
            name: own?.name ?? (uid == 0 ? "root" : "user\(uid)"))
        caller.home = Paths.normal(caller.home)
        caller.isPrivileged = uid == 0 && isInitialUserNamespace
        guard caller.isPrivileged else {
            caller.otherGroups = SupplementaryGroups.names(besides: caller.group)
            if let user, user != caller.name {
                mistakes.append(
                    "[process] user = \"\(user)\": only root can run the agent as somebody else; start mis with sudo, "
                        + "or leave the key out")
            }
            return caller
        }
        if let user {
            guard let account = Account.named(user) ?? UInt32(user).flatMap(Account.withUser), account.user != 0 else {
                mistakes.append("[process] user = \"\(user)\": no such account, or root; name an ordinary one")
                return caller
            }
            caller.account = RunAccount(account)
        } else if let text = Environment.value("SUDO_UID"), let sudo = UInt32(text), sudo != 0 {
            let account = Account.withUser(sudo)
            let group = Environment.value("SUDO_GID").flatMap(UInt32.init) ?? account?.group ?? sudo
            caller.account = RunAccount(
                name: account?.name ?? Environment.value("SUDO_USER") ?? "user\(sudo)", user: sudo, group: group,
                home: Paths.normal(account?.home ?? "/"))
        }
        return caller
    }

    /// The machine's own user namespace has an inode number of its own, the same everywhere (include/linux/proc_ns.h).
    private static var isInitialUserNamespace: Bool {
        (try? FileStatus(of: "/proc/self/ns/user", flags: 0))?.inode == 0xEFFF_FFFD
    }

    /// The path with symlinks resolved when it exists, else lexically normal: the planner says what is wrong with it.
    private static func canonical(_ path: String, _ current: String) -> String {
        let normal = Paths.normal(path, base: current)
        if case .present(let object) = HostProbe.look(at: normal) { return object.canonical }
        return normal
    }

    private static func apply(
        _ options: RunArguments, variables: Variables, to profile: inout Profile, request: inout LaunchRequest,
        current: String, mistakes: inout [String]
    ) {
        for access in [PathRule.Access.write, .execute] {
            profile.filesystem.rules.append(
                PathRule(
                    access: access, pattern: .path(request.workspace), text: request.workspace,
                    origin: .commandLine(option: "--workspace")))
        }
        func add(_ option: String, _ access: PathRule.Access, _ paths: [String]) {
            for path in paths {
                do throws(AmountError) {
                    let absolute = path.hasPrefix("**/") ? path : absolutePath(path, current)
                    profile.filesystem.rules.append(
                        try PathRule(access: access, text: absolute, option: option, variables: variables))
                } catch {
                    mistakes.append("\(option) \(path): \(error)")
                }
            }
        }
        add("--ro", .read, options.ro)
        add("--rw", .write, options.rw)
        add("--deny", .deny, options.deny)
        for text in options.bind {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2 || parts.count == 3 && (parts[2] == "ro" || parts[2] == "rw"),
                parts[1].hasPrefix("/"),
                !parts[0].isEmpty
            else {
                mistakes.append("--bind \(text): not SRC:DST or SRC:DST:ro with an absolute DST")
                continue
            }
            request.binds.append(
                ExtraBind(
                    source: Paths.normal(parts[0], base: current), target: Paths.normal(parts[1]),
                    readOnly: parts.count == 3 && parts[2] == "ro"))
        }
        if let net = options.net {
            if let mode = Profile.Network.Mode(rawValue: net) {
                profile.network.mode = mode
            } else {
                mistakes.append("--net \(net): not none or host")
            }
        }
        if let require = options.require {
            request.require = Tier(rawValue: require)
            if request.require == nil { mistakes.append("--require \(require): not bpf, fanotify or landlock") }
        }
        var limits: [(key: String, value: String)] = []
        for text in options.limit {
            guard let equals = text.firstIndex(of: "=") else {
                mistakes.append("--limit \(text): not KEY=VALUE, for example memory=4G")
                continue
            }
            limits.append((String(text[..<equals]), String(text[text.index(after: equals)...])))
        }
        do {
            try profile.setLimits(limits, source: "--limit")
        } catch {
            mistakes += error.mistakes.map(\.description)
        }
        if let timeout = options.timeout {
            do {
                profile.limits.timeoutMilliseconds = try DurationText.parse(timeout)
            } catch {
                mistakes.append("--timeout \(timeout): \(error)")
            }
        }
        for name in options.env where name.isEmpty || name.hasPrefix("=") {
            mistakes.append("--env \(name): not NAME or NAME=VALUE")
        }
        request.environmentOptions = options.env
        request.forceWorkspace = options.forceWorkspace
    }

    /// `~` and variables are the profile's to expand; everything else stands on the current folder.
    private static func absolutePath(_ path: String, _ current: String) -> String {
        path.hasPrefix("~") || path.hasPrefix("$") ? path : Paths.normal(path, base: current)
    }
}

extension RunAccount {
    init(_ account: Account) {
        self.init(name: account.name, user: account.user, group: account.group, home: Paths.normal(account.home))
    }
}
