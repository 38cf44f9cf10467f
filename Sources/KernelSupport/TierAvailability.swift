public import Profile

/// Whether a tier can be had here, and if not, why not.
public struct TierAvailability: Sendable, Equatable {
    public var tier: Tier
    public var answer: Answer

    public init(_ tier: Tier, _ answer: Answer) {
        self.tier = tier
        self.answer = answer
    }

    public var isAvailable: Bool { answer.isYes }
}

extension KernelSupport {
    /// Every tier, strongest first. What ``probe()`` learns is enough.
    public var tiers: [TierAvailability] {
        [
            TierAvailability(.bpf, bpfTier),
            TierAvailability(.fanotify, fanotifyTier),
            TierAvailability(.landlock, landlockTier),
        ]
    }

    /// The strongest tier there is; nil where not even Landlock is.
    public var bestTier: Tier? { tiers.first(where: \.isAvailable)?.tier }

    private var landlockTier: Answer {
        if landlockABI > 0 { return .yes }
        if !isAtLeast(.oldestSupported) { return .no("Landlock needs kernel 5.13; this is \(release)") }
        return .no("Landlock is not among the kernel's active security modules")
    }

    /// Landlock is part of this tier.
    private var fanotifyTier: Answer {
        guard landlockTier.isYes else { return landlockTier }
        if case .no(let reason) = detail?.permissionEvents { return .no(reason) }
        return fanotify
    }

    /// What can be told in a handful of system calls; that the kernel takes the programs is seen when they are loaded.
    private var bpfTier: Answer {
        guard isAtLeast(.bpfTier) else { return .no("it needs kernel \(KernelVersion.bpfTier); this is \(release)") }
        guard architecture == "x86_64" else { return .no("it is for x86_64; this is \(architecture)") }
        guard caller.has(.systemAdministration) else { return .no("it needs root") }
        guard let modules = securityModules else {
            return .no("the kernel does not say which security modules it runs")
        }
        guard modules.contains("bpf") else { return .no("bpf is not among the kernel's active security modules") }
        guard bpf.hasTypeInformation else { return .no("the kernel has no type information (/sys/kernel/btf/vmlinux)") }
        guard bpf.hasFileSystem else { return .no("no BPF file system is mounted at /sys/fs/bpf") }
        guard cgroup.hierarchy?.unified != nil else { return .no("it needs a cgroup of the v2 tree") }
        if case .no(let reason) = bpf.program { return .no(reason) }
        return .yes
    }
}
