public import HostView
import LinuxSystem
public import Profile
import Seccomp

/// (profile, request, machine, host) → plan. Pure: the same values give the same plan, on any machine.
public enum Planner {
    public static func plan(
        profile: Profile, request: LaunchRequest, machine: Machine, host: HostView
    ) throws(PlanErrors) -> SandboxPlan {
        var errors: [String] = []
        let tier = chooseTier(profile: profile, request: request, machine: machine, errors: &errors)
        errors += WorkspaceCheck.refusals(request: request, host: host)
        errors += missingArguments(profile: profile, host: host)
        let capabilities = capabilitySet(profile.process.capabilities, machine: machine, errors: &errors)

        let identity = chooseIdentity(request.caller, launcher: request.launcher)
        var tree = MountPlanner(
            rules: profile.filesystem.rules, request: request, identity: identity, tier: tier, host: host)
        tree.plan(tmpfsSize: profile.limits.tmpSize.map { resolve($0, machine) })
        errors += tree.errors

        var unenforced = tree.unenforced
        if profile.enforcement.unknown == .trace {
            unenforced.append(
                "unknown = \"trace\": what no rule lists is not there at all, so it cannot be traced")
        }
        if identity.kind == .ordinary, !request.caller.otherGroups.isEmpty {
            unenforced.append(
                "supplementary groups (\(request.caller.otherGroups.joined(separator: ", "))): an ordinary user cannot give "
                    + "them up, so what they may read in the view can be read inside (start mis with sudo)")
        }
        if profile.process.nested, tier == .fanotify {
            unenforced.append(
                "nested = true: opens in a mount namespace that is made inside are not asked about; there, only mounts and "
                    + "Landlock hold, and name patterns and other names of denied files do not (needs tier bpf)")
        }
        if profile.policy.revoke, tier < .bpf {
            unenforced.append(
                tier == .fanotify
                    ? "[policy] revoke = true: writing to what is open already, and code that is mapped, goes on under a new "
                        + "threat policy (needs tier bpf)"
                    : "[policy] revoke = true: a new threat policy takes nothing away that is open already (needs tier bpf)"
            )
        }
        if !errors.isEmpty { throw PlanErrors(errors) }

        return SandboxPlan(
            session: request.session,
            profile: profile.name,
            tier: tier,
            command: request.command,
            arguments: request.arguments,
            workspace: request.workspace,
            workingFolder: tree.isVisible(request.currentFolder) ? request.currentFolder : request.workspace,
            identity: identity,
            network: profile.network.mode,
            nested: profile.process.nested,
            capabilities: capabilities,
            mounts: tree.mounts,
            links: tree.links,
            homeFiles: tree.homeFiles,
            homePatterns: tree.homePatterns,
            decoys: tree.decoys,
            landlock: LandlockPlanner.plan(tree: tree, abi: machine.landlockABI, tier: tier),
            seccomp: SeccompPolicy(
                nested: profile.process.nested, extra: profile.process.seccomp,
                report: tree.hasProtectedObjects || !tree.protectedNames.isEmpty ? .refusalsAndWrites : .refusals),
            limits: resolve(profile.limits, machine),
            environment: EnvironmentPlanner.plan(profile: profile, request: request, identity: identity),
            terminals: request.terminals,
            rules: tree.rules,
            deniedObjects: tree.deniedObjects,
            protectedNames: tree.protectedNames,
            kernel: tier == .bpf ? KernelPlanner.plan(tree: tree, profile: profile) : nil,
            asksAboutOpens: tree.asksAboutOpens,
            timeoutMilliseconds: profile.limits.timeoutMilliseconds,
            watchdog: profile.watchdog,
            watchdogMemory: profile.watchdog.memory.map { resolve($0, machine) },
            escalation: profile.escalation,
            streams: profile.streams,
            policy: profile.policy,
            gaps: profile.enforcement.gaps,
            unenforced: unenforced,
            skipped: tree.skipped)
    }

    static func chooseTier(
        profile: Profile, request: LaunchRequest, machine: Machine, errors: inout [String]
    ) -> Tier {
        let best = machine.tiers.max() ?? .landlock
        let required = [profile.enforcement.require, request.require].compactMap { $0 }.max()
        if machine.tiers.isEmpty || machine.landlockABI < 1 && best != .bpf {
            errors.append("this kernel has no Landlock, which every tier needs: \(remedy(machine, .landlock))")
        }
        if let required, best < required {
            errors.append(
                "tier \(required.rawValue) is required and not available here (the strongest is \(best.rawValue)): "
                    + remedy(machine, required))
        }
        return best
    }

    private static func remedy(_ machine: Machine, _ tier: Tier) -> String {
        (machine.missing[tier].map { "\($0); " } ?? "") + "'mis doctor' says how to get it"
    }

    /// What the command line names must exist; what a profile lists may not.
    private static func missingArguments(profile: Profile, host: HostView) -> [String] {
        profile.filesystem.rules.compactMap { rule in
            guard case .commandLine(let option) = rule.origin, case .path(let path) = rule.pattern,
                [.read, .write, .deny].contains(rule.access), host[path] == .absent
            else { return nil }
            return "\(option) \(rule.text): no such file or folder; give a path that exists"
        }
    }

    static func chooseIdentity(_ caller: Invoker, launcher: Int32) -> AgentIdentity {
        if !caller.isPrivileged {
            // uid 0 of a user namespace (a rootless container) is an ordinary user: uid 0 outside, never inside.
            return AgentIdentity(
                kind: .ordinary, hostUser: caller.user, hostGroup: caller.group,
                insideUser: caller.user == 0 ? 1000 : caller.user, insideGroup: caller.user == 0 ? 1000 : caller.group,
                name: caller.user == 0 ? "agent" : caller.name, home: caller.home)
        }
        if let account = caller.account {
            return AgentIdentity(
                kind: .account, hostUser: account.user, hostGroup: account.group, insideUser: account.user,
                insideGroup: account.group, name: account.name, home: account.home)
        }
        let host = subordinateBase + UInt32(truncatingIfNeeded: launcher) % subordinateCount
        return AgentIdentity(
            kind: .subordinate, hostUser: host, hostGroup: host, insideUser: 1000, insideGroup: 1000, name: "agent",
            home: caller.home)
    }

    /// Host ids of agents that plain root starts: above what distributions give to people, services, containers
    /// (systemd takes 0x80000...0x6fffffff) and below 2^31. One per running launcher: pids are below 2^22.
    static let subordinateBase: UInt32 = 0x7000_0000
    static let subordinateCount: UInt32 = 1 << 22

    static func capabilitySet(_ names: [String], machine: Machine, errors: inout [String]) -> UInt64 {
        var set: UInt64 = 0
        for name in names {
            guard let number = CapabilityNames.number(name), number <= machine.lastCapability else {
                errors.append("[process] capabilities: this kernel has no capability \"\(name)\"")
                continue
            }
            set |= 1 << UInt64(number)
        }
        return set
    }

    private static func resolve(_ amount: Profile.Amount, _ machine: Machine) -> UInt64 {
        switch amount {
        case .bytes(let bytes): bytes
        case .percentOfMemory(let percent): machine.memory / 100 * UInt64(percent)
        }
    }

    static func resolve(_ limits: Profile.Limits, _ machine: Machine) -> PlannedLimits {
        var planned = PlannedLimits()
        planned.memory = limits.memory.map { resolve($0, machine) }
        planned.memoryHigh = limits.memoryHigh.map { resolve($0, machine) }
        planned.cpuPercent = limits.cpuPercent
        planned.cpuWeight = limits.cpuWeight
        planned.pids = limits.pids
        planned.ioWeight = limits.ioWeight
        planned.files = limits.files.map(UInt64.init)
        planned.fileSize = limits.fileSize.map { resolve($0, machine) }
        planned.tmpSize = limits.tmpSize.map { resolve($0, machine) }
        return planned
    }
}
