import Cgroup

/// The checks of `mis doctor`, made from a machine's answers.
struct DoctorChecks {
    let support: KernelSupport
    let detail: MachineDetail

    init(support: KernelSupport) {
        self.support = support
        detail = support.detail ?? MachineDetail()
    }

    func all() -> [DoctorCheck] {
        [
            kernel, privileges, landlock, landlockScope, seccomp, userNamespaces, idmappedMounts, subordinateIDs,
            executableMemory,
        ] + cgroups + [fanotify, atOnce] + bpf + [mitigations, stateFolder, resources]
    }

    // MARK: The kernel and its layers

    private var kernel: DoctorCheck {
        DoctorCheck(
            "kernel", ok: support.isAtLeast(.oldestSupported),
            "\(support.release) \(support.architecture)",
            fix: "boot kernel \(KernelVersion.oldestSupported) or newer; 6.1 or newer for the bpf tier")
    }

    private var privileges: DoctorCheck {
        if support.caller.isPrivilegedExecution {
            return DoctorCheck(
                "privileges", ok: false,
                "mis is installed set-uid or with file capabilities: it refuses to run so",
                fix: "chmod u-s,g-s \(detail.program) && setcap -r \(detail.program); run it as root or with sudo")
        }
        if support.caller.isRoot {
            return DoctorCheck(
                "privileges", ok: support.caller.has(.systemAdministration),
                support.caller.has(.systemAdministration)
                    ? "root" : "root without CAP_SYS_ADMIN: a container's root",
                fix: "run mis outside of the container, or give that CAP_SYS_ADMIN (--cap-add SYS_ADMIN)")
        }
        return DoctorCheck(
            "privileges", ok: true, "user \(detail.userName ?? "\(support.caller.user)"): tier landlock")
    }

    private var landlock: DoctorCheck {
        guard support.landlockABI == 0 else {
            return DoctorCheck("landlock", ok: true, "ABI \(support.landlockABI)")
        }
        return DoctorCheck(
            "landlock", ok: false, "not available: mis runs nothing without it",
            fix: support.isAtLeast(.oldestSupported)
                ? bootParameter(adding: "landlock")
                    + "\nif it is still missing then, the kernel is built without it: it needs CONFIG_SECURITY_LANDLOCK=y"
                : "boot kernel 5.13 or newer")
    }

    private var landlockScope: DoctorCheck {
        let abi = support.landlockABI
        var missing: [String] = []
        if abi < 2 { missing.append("links and renames across folders (refused altogether before ABI 2)") }
        if abi < 3 { missing.append("truncation (ABI 3)") }
        if abi < 4 { missing.append("TCP ports (ABI 4)") }
        if abi < 5 { missing.append("device ioctls (ABI 5)") }
        if abi < 6 { missing.append("signals and abstract sockets (ABI 6)") }
        return DoctorCheck(
            "landlock-rights", ok: missing.isEmpty,
            missing.isEmpty
                ? "files, truncation, TCP ports, device ioctls, signals and abstract sockets"
                : "this ABI does not cover: \(missing.joined(separator: ", ")); read-only mounts and namespaces do, but "
                    + "for abstract sockets of the host with --net host",
            fix: "boot kernel 6.12 or newer")
    }

    private var seccomp: DoctorCheck {
        DoctorCheck(
            "seccomp", ok: support.seccompNotification,
            support.seccompNotification ? "filters and user notifications" : "no user notifications",
            fix: "boot kernel 5.0 or newer, built with CONFIG_SECCOMP_FILTER=y")
    }

    // MARK: Namespaces and ids

    private var userNamespaces: DoctorCheck {
        guard case .failed(let stage, let errno) = detail.userNamespace else {
            return DoctorCheck("user-namespaces", ok: true, "can be made and used")
        }
        let cause = UserNamespaceFailure(stage: stage, errno: errno, detail: detail)
        return DoctorCheck("user-namespaces", ok: false, cause.sentence, fix: cause.fix)
    }

    private var idmappedMounts: DoctorCheck {
        DoctorCheck(
            "idmapped-mounts", ok: support.isAtLeast(.idmappedMounts),
            support.isAtLeast(.idmappedMounts)
                ? "mount_setattr(2) is there; the workspace's file system must take part (ext4, xfs, btrfs, tmpfs do)"
                : "the kernel has none: as plain root the agent cannot write the workspace",
            fix: "boot kernel \(KernelVersion.idmappedMounts) or newer")
    }

    private var subordinateIDs: DoctorCheck {
        if support.caller.isRoot {
            return DoctorCheck("subordinate-ids", ok: true, "not needed: root takes an unused id for the agent")
        }
        let name = detail.userName ?? "\(support.caller.user)"
        let ranges = detail.subordinateUsers.first.map { "\($0) in /etc/subuid" } ?? "none for \(name)"
        return DoctorCheck("subordinate-ids", ok: true, "\(ranges); not needed: the agent runs as \(name)")
    }

    private var executableMemory: DoctorCheck {
        DoctorCheck(
            "executable-memory-files", ok: (detail.memfdNoExec ?? 0) < 2,
            detail.memfdNoExec.map { "vm.memfd_noexec = \($0)" } ?? "allowed: no vm.memfd_noexec on this kernel",
            fix: "sysctl -w vm.memfd_noexec=1 (the sandbox's init is executed from memory)")
    }

    // MARK: Cgroups

    private var cgroups: [DoctorCheck] {
        switch support.cgroup {
        case .none(let reason, let fix):
            return [
                DoctorCheck("cgroup", ok: false, "no limits on memory, processor and processes: \(reason)", fix: fix)
            ]
        case .found(let hierarchy):
            return [
                DoctorCheck("cgroup", ok: true, hierarchy.summary), controllers(of: hierarchy), kill(in: hierarchy),
                weight, ownCgroup(hierarchy),
            ]
        }
    }

    private func controllers(of hierarchy: CgroupHierarchy) -> DoctorCheck {
        let wanted: [CgroupController] = [.memory, .cpu, .processes, .io]
        let missing = wanted.filter { wanted in
            !hierarchy.legacy.contains { $0.controller == wanted }
                && !detail.unifiedControllers.contains(wanted.rawValue)
        }
        let names = missing.map(\.rawValue)
        return DoctorCheck(
            "cgroup-controllers", ok: missing.isEmpty,
            missing.isEmpty ? "memory, cpu, pids, io" : "missing: \(names.joined(separator: ", "))",
            fix: support.caller.isRoot
                ? "boot with cgroup_no_v1=all systemd.unified_cgroup_hierarchy=1, or echo "
                    + "'\(names.map { "+\($0)" }.joined(separator: " "))' > /sys/fs/cgroup/cgroup.subtree_control"
                : "as root: mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io "
                    + "memory pids\\n' > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload; "
                    + "then log in again")
    }

    private func kill(in hierarchy: CgroupHierarchy) -> DoctorCheck {
        DoctorCheck(
            "cgroup-kill", ok: hierarchy.unified != nil && support.isAtLeast(.cgroupKill),
            hierarchy.unified == nil
                ? "no cgroup v2 tree: processes are killed one by one" : "cgroup.kill on kernel \(support.release)",
            fix: support.isAtLeast(.cgroupKill)
                ? "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified"
                : "boot kernel \(KernelVersion.cgroupKill) or newer")
    }

    private var weight: DoctorCheck {
        DoctorCheck(
            "io-weight", ok: detail.ioWeight.isYes,
            detail.ioWeight.reason.map { "io_weight cannot be enforced: \($0)" } ?? "heeded",
            fix: "echo bfq > /sys/block/DISK/queue/scheduler for the disk of the workspace")
    }

    private func ownCgroup(_ hierarchy: CgroupHierarchy) -> DoctorCheck {
        let own = detail.ownCgroups.map { line in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return line }
            return "\(fields[1].isEmpty ? "v2" : String(fields[1])) \(fields[2])"
        }
        let elsewhere = own.filter { !$0.hasSuffix(" /") }
        let places = [hierarchy.unified].compactMap(\.self) + hierarchy.legacy.map(\.path)
        return DoctorCheck(
            "launcher-cgroup", ok: true,
            "\(elsewhere.isEmpty ? "the root of every hierarchy" : elsewhere.joined(separator: ", ")); sandboxes are "
                + "made in \(places.map { "\($0)/mis" }.joined(separator: ", "))")
    }

    // MARK: fanotify

    private var fanotify: DoctorCheck {
        if case .no(let reason) = detail.permissionEvents {
            return DoctorCheck(
                "fanotify", ok: false, reason,
                fix: "a kernel built with CONFIG_FANOTIFY=y and CONFIG_FANOTIFY_ACCESS_PERMISSIONS=y")
        }
        return DoctorCheck(
            "fanotify", ok: support.fanotify.isYes, support.fanotify.reason ?? "permission events",
            fix: support.caller.isRoot
                ? "run mis as root of the machine, not of a container or user namespace"
                : "run it as root: sudo mis run ... (the agent still runs as you)")
    }

    /// How many sandboxes can run side by side: each watches names and files, and a user has only so many watchers.
    private var atOnce: DoctorCheck {
        let groups = support.bestTier == .fanotify ? Watchers.fanotifyGroups : 0
        let queues = support.bestTier == .bpf ? Watchers.inotifyInBPF : Watchers.inotifyInstances
        let limits = [
            ("fs.fanotify.max_user_groups", detail.fanotifyGroups, groups),
            ("fs.inotify.max_user_instances", detail.inotifyInstances, queues),
        ].compactMap { name, limit, each in limit.flatMap { each > 0 ? (name: name, limit: $0, each: each) : nil } }
        guard let room = limits.map({ $0.limit / $0.each }).min() else {
            return DoctorCheck("sandboxes-at-once", ok: true, "no limit but memory and processes")
        }
        let told = limits.map { "\($0.name) = \($0.limit), \($0.each) for each" }.joined(separator: "; ")
        let low = limits.filter { $0.limit / $0.each < Watchers.wanted }
        return DoctorCheck(
            "sandboxes-at-once", ok: low.isEmpty, "\(room) of one user fit (\(told))",
            fix: "for \(Watchers.wanted) at once: sysctl -w "
                + low.map { "\($0.name)=\($0.each * Watchers.wanted * 2)" }.joined(separator: " ")
                + "; a file in /etc/sysctl.d keeps it")
    }

    /// What a sandbox of the profiles at hand takes: permission events and names on file systems in tier fanotify;
    /// protected names below tier bpf; the policy folder in every tier.
    private enum Watchers {
        static let fanotifyGroups = 3
        static let inotifyInstances = 2
        static let inotifyInBPF = 1
        static let wanted = 200
    }

    // MARK: The rest of the machine

    private var mitigations: DoctorCheck {
        let open = detail.mitigations.filter(\.isVulnerable)
        return DoctorCheck(
            "cpu-mitigations", ok: open.isEmpty,
            detail.mitigations.isEmpty
                ? "the kernel does not say"
                : open.isEmpty
                    ? "none of \(detail.mitigations.count) known weaknesses is open"
                    : open.map { "\($0.name): \($0.status)" }.joined(separator: "; "),
            fix: "install the processor's microcode and boot without mitigations=off; side channels are not a boundary "
                + "mis defends: for secrets that matter use another machine")
    }

    private var stateFolder: DoctorCheck {
        guard let folder = detail.stateFolder else {
            return DoctorCheck("state-folder", ok: true, "not looked at")
        }
        if let problem = folder.problem {
            return DoctorCheck(
                "state-folder", ok: false, "\(folder.path) cannot be written: \(problem)",
                fix: "set MIS_STATE_DIR to a folder of yours, or run: mkdir -p \(folder.path)")
        }
        return DoctorCheck(
            "state-folder", ok: folder.free >= 512 << 20,
            "\(folder.path): \(folder.free >> 20) MiB free",
            fix: "free space there (old sessions are below \(folder.path)), or set MIS_STATE_DIR")
    }

    private var resources: DoctorCheck {
        DoctorCheck(
            "resources", ok: true,
            "\(support.memory >> 20) MiB of memory, \(detail.swap >> 20) MiB of swap, \(support.processors) processor"
                + "\(support.processors == 1 ? "" : "s")")
    }

    /// How to have one more security module started.
    func bootParameter(adding module: String) -> String {
        // `capability` is always there and not named on the command line.
        let present = (support.securityModules ?? []).filter { $0 != "capability" && $0 != module }
        guard support.securityModules != nil else {
            return "mount -t securityfs none /sys/kernel/security; cat /sys/kernel/security/lsm; boot with lsm= and "
                + "that list, and \(module) added to it"
        }
        let list = (present + [module]).joined(separator: ",")
        return "add lsm=\(list) to the kernel's command line: in /etc/default/grub append it to "
            + "GRUB_CMDLINE_LINUX, run update-grub, reboot"
    }
}
