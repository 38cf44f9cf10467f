import LinuxSystem

/// The likely cause of a failed step of a launch, and what to do about it.
///
/// A table, asked only when something failed. It names what is known to cause an answer, never guesses: nil means the
/// step, the object and the errno have to speak for themselves.
public struct LaunchFailureHint: Sendable, Equatable, CustomStringConvertible {
    public var cause: String
    public var remedy: String

    public var description: String { "\(cause); \(remedy)" }

    /// What was being done.
    public enum Deed: Sendable, Equatable {
        /// clone3(2) with namespaces, and into a cgroup.
        case clone
        /// clone3(2) or unshare(2) of a user namespace.
        case userNamespace
        /// unshare(2) of other namespaces.
        case namespace
        /// Writing uid_map, gid_map or setgroups.
        case idMap
        /// open_tree(2), move_mount(2), fsopen(2), fsconfig(2), fsmount(2), mount_setattr(2), mount(2), umount2(2).
        case mount
        /// mount_setattr(2) with MOUNT_ATTR_IDMAP.
        case idmappedMount
        /// mount(2) of proc.
        case procMount
        case pivotRoot
        /// openat2(2) of a mount's source or place, statx(2) of what stands there.
        case open
        case landlock
        case seccomp
        /// execveat(2) of the sandbox's init, a memory file.
        case executeInit
        case memoryFile
        case fanotify
        /// mkdir(2) of the cgroup.
        case cgroup
        /// setuid(2), setgid(2), setgroups(2).
        case identity
        case limit
        /// socket(2) or ioctl(2) for the loopback interface.
        case loopback

        /// The deed a system call (its number, as SYS_*) most likely was part of; nil for calls the table does not
        /// know.
        public init?(systemCall number: Int32) {
            switch number {
            case Int32(SYS_clone3): self = .clone
            case Int32(SYS_unshare): self = .namespace
            case Int32(SYS_open_tree), Int32(SYS_move_mount), Int32(SYS_fsopen), Int32(SYS_fsconfig),
                Int32(SYS_fsmount), Int32(SYS_mount_setattr), Int32(SYS_umount2), Int32(SYS_mount):
                self = .mount
            case Int32(SYS_pivot_root): self = .pivotRoot
            case Int32(SYS_openat2), Int32(SYS_openat), Int32(SYS_statx): self = .open
            case Int32(SYS_landlock_create_ruleset), Int32(SYS_landlock_add_rule), Int32(SYS_landlock_restrict_self):
                self = .landlock
            case Int32(SYS_seccomp): self = .seccomp
            case Int32(SYS_execveat): self = .executeInit
            case Int32(SYS_memfd_create): self = .memoryFile
            case Int32(SYS_fanotify_init), Int32(SYS_fanotify_mark): self = .fanotify
            case Int32(SYS_mkdirat): self = .cgroup
            case Int32(SYS_setresuid), Int32(SYS_setresgid), Int32(SYS_setgroups): self = .identity
            case Int32(SYS_prlimit64): self = .limit
            case Int32(SYS_socket), Int32(SYS_ioctl): self = .loopback
            default: return nil
            }
        }
    }

    /// - Parameter support: with ``KernelSupport/detail``, where the answer may depend on the machine's settings.
    public static func cause(of deed: Deed, errno: Int32, support: KernelSupport) -> LaunchFailureHint? {
        if errno == ENOMEM || errno == EMFILE || errno == ENFILE { return exhaustion(errno) }
        return switch deed {
        case .clone, .userNamespace, .namespace: namespace(deed, errno, support)
        case .idMap: idMap(errno, support)
        case .mount, .idmappedMount, .procMount, .pivotRoot, .open: mount(deed, errno, support)
        case .landlock, .seccomp, .executeInit, .memoryFile, .fanotify, .identity, .limit, .loopback:
            layer(deed, errno, support)
        case .cgroup: cgroup(errno, support)
        }
    }

    private static func hint(_ cause: String, _ remedy: String) -> LaunchFailureHint {
        LaunchFailureHint(cause: cause, remedy: remedy)
    }

    private static func exhaustion(_ errno: Int32) -> LaunchFailureHint {
        switch errno {
        case ENOMEM: hint("the machine, or the cgroup mis runs in, is out of memory", "free memory, or raise its limit")
        case ENFILE: hint("the machine's table of open files is full", "raise it: sysctl -w fs.file-max=1000000")
        default: hint("mis may not open more files", "raise the limit: ulimit -n 4096")
        }
    }

    // MARK: Namespaces

    private static func namespace(_ deed: Deed, _ errno: Int32, _ support: KernelSupport) -> LaunchFailureHint? {
        switch errno {
        case ENOSYS:
            return hint(
                "the kernel has no such call, or a container's seccomp filter hides it",
                support.isAtLeast(.oldestSupported)
                    ? "in Docker run with --security-opt seccomp=unconfined"
                    : "boot kernel \(KernelVersion.oldestSupported) or newer")
        case EAGAIN:
            return hint(
                "the limit on processes is reached", "look at `ulimit -u`, kernel.pid_max and the cgroup's pids.max")
        case EBUSY where deed == .clone, EOPNOTSUPP where deed == .clone:
            return hint(
                "the cgroup the agent was to be born in hands controllers on, or is threaded",
                "remove the cgroup's sub-folders below its folder \"mis\"")
        case ENODEV where deed == .clone:
            return hint("the cgroup was removed while the agent was to be born in it", "start again")
        case EACCES where deed == .clone:
            return hint(
                "this process may not put another into the cgroup: they have no common folder of this user's",
                "start it inside the delegated folder: systemd-run --user --scope -p Delegate=yes mis run ...")
        case ENOSPC, EUSERS, EPERM, EACCES, EINVAL:
            let detail = support.detail ?? MachineDetail()
            if deed == .namespace && errno == ENOSPC {
                return hint(
                    "a limit on namespaces is reached (sysctl user.max_*_namespaces)",
                    UserNamespaceFailure.setting("user.max_net_namespaces", "15000") + " (or the kind that is used up)")
            }
            let failure = UserNamespaceFailure(stage: .namespace, errno: errno, detail: detail)
            return hint("user namespaces: \(failure.sentence)", failure.fix)
        default: return nil
        }
    }

    private static func idMap(_ errno: Int32, _ support: KernelSupport) -> LaunchFailureHint? {
        guard errno == EPERM || errno == EACCES else { return nil }
        if let detail = support.detail, (detail.appArmorRestrictsUserNamespaces ?? 0) != 0, !support.caller.isRoot {
            let failure = UserNamespaceFailure(stage: .mount, errno: errno, detail: detail)
            return hint(failure.sentence, failure.fix)
        }
        return hint(
            "this process may not map the ids",
            support.caller.isRoot
                ? "root lacks CAP_SETUID or CAP_SETGID here, as in a container: give it both"
                : "an ordinary user may map the own id only: set `user` in [process] to nothing")
    }

    // MARK: Mounts

    private static func mount(_ deed: Deed, _ errno: Int32, _ support: KernelSupport) -> LaunchFailureHint? {
        switch (deed, errno) {
        case (_, ENOSYS):
            return hint(
                "the kernel has no such call, or a container's seccomp filter hides it",
                support.isAtLeast(.oldestSupported)
                    ? "in Docker run with --security-opt seccomp=unconfined"
                    : "boot kernel \(KernelVersion.oldestSupported) or newer")
        case (.procMount, EPERM), (.procMount, EBUSY):
            let failure = UserNamespaceFailure(stage: .proc, errno: errno, detail: MachineDetail())
            return hint(failure.sentence, failure.fix)
        case (.idmappedMount, EINVAL),
            (.mount, EINVAL) where support.caller.isRoot:
            return hint(
                "the file system of the workspace takes no idmapped mounts (NFS, FUSE, overlay before Linux 5.19, "
                    + "tmpfs before 6.3), or one mounted below it does not, or it is one already",
                "put the workspace on ext4, xfs, btrfs or tmpfs, or run mis through sudo as the workspace's owner")
        case (.idmappedMount, EPERM):
            return hint(
                "the file system of the workspace was mounted in another user namespace",
                "run mis as root of the machine, or on a file system the machine mounted")
        case (.open, ELOOP):
            return hint(
                "a symlink stands where none was when the plan was made: somebody changed the path meanwhile",
                "start again; if it stays so, list the path the symlink leads to")
        case (.open, ENOENT), (.mount, ENOENT):
            return hint("the path went away after the plan was made", "start again")
        case (.open, EACCES):
            return hint("this user may not look into a folder on the way", "list only paths this user may reach")
        case (.open, ESTALE), (.mount, ESTALE):
            return hint("another object stands at the path than when the plan was made", "start again")
        case (.mount, EPERM), (.mount, EACCES), (.pivotRoot, EPERM):
            if let detail = support.detail, (detail.appArmorRestrictsUserNamespaces ?? 0) != 0, !support.caller.isRoot {
                let failure = UserNamespaceFailure(stage: .mount, errno: errno, detail: detail)
                return hint(failure.sentence, failure.fix)
            }
            return hint(
                "mounting is refused: a container without CAP_SYS_ADMIN, a security module, or a mount that is locked "
                    + "because another user made it",
                "run mis on the host, or in Docker with --cap-add SYS_ADMIN --security-opt apparmor=unconfined "
                    + "--security-opt seccomp=unconfined")
        case (.mount, EINVAL):
            return hint(
                "a mount with others locked below it cannot be taken apart by an ordinary user",
                "list the folders below it one by one, or run mis as root")
        case (.mount, ENODEV):
            return hint("the kernel lacks this file system", "load or build it in (tmpfs, proc, devpts, mqueue)")
        case (.mount, ENOSPC):
            return hint("the limit on mounts is reached", "sysctl -w fs.mount-max=200000")
        case (.pivotRoot, EINVAL):
            return hint(
                "the root is the initial ramdisk's, which cannot be pivoted away",
                "let the machine's start-up switch_root(8) to another root first")
        default: return nil
        }
    }

    // MARK: Layers and the rest

    private static func layer(_ deed: Deed, _ errno: Int32, _ support: KernelSupport) -> LaunchFailureHint? {
        switch (deed, errno) {
        case (.landlock, ENOSYS), (.landlock, EOPNOTSUPP):
            return hint(
                "Landlock is not built into the kernel, or not started",
                DoctorChecks(support: support).bootParameter(adding: "landlock"))
        case (.landlock, E2BIG):
            return hint(
                "sixteen layers of Landlock are in force already", "do not start sandboxes so deep inside of another")
        case (.seccomp, EINVAL), (.seccomp, ENOSYS):
            return hint("the kernel has no seccomp filters", "boot a kernel built with CONFIG_SECCOMP_FILTER=y")
        case (.seccomp, EBUSY):
            return hint(
                "another seccomp listener is in force: mis runs inside of another sandbox", "start it outside of that")
        case (.executeInit, EACCES), (.memoryFile, EACCES), (.executeInit, EPERM):
            return hint(
                "memory files may not be executed: vm.memfd_noexec = 2, or a security module forbids it",
                UserNamespaceFailure.setting("vm.memfd_noexec", "1"))
        case (.fanotify, EPERM):
            return hint(
                "permission events need root of the machine",
                "run mis as root of the machine, or without root: tier landlock")
        case (.fanotify, EINVAL):
            return hint(
                "the kernel has no permission events",
                "boot a kernel built with CONFIG_FANOTIFY_ACCESS_PERMISSIONS=y, or run mis without root: tier landlock")
        case (.identity, EINVAL):
            return hint("the id is not mapped in this user namespace", "name a user that exists here in [process] user")
        case (.identity, EAGAIN):
            return hint("that user's limit on processes is reached", "look at `ulimit -u` of that user")
        case (.limit, EPERM):
            return hint("a resource limit was to be raised above the caller's", "lower it in [limits]")
        case (.loopback, EPERM), (.loopback, EACCES):
            return hint(
                "the network namespace gives no rights: user namespaces are restricted",
                support.detail.map { UserNamespaceFailure(stage: .mount, errno: errno, detail: $0).fix }
                    ?? "mis doctor says how to lift it")
        default: return nil
        }
    }

    private static func cgroup(_ errno: Int32, _ support: KernelSupport) -> LaunchFailureHint? {
        switch errno {
        case EACCES, EPERM, EROFS:
            if case .none(_, let fix) = support.cgroup { return hint("no cgroup may be made here", fix) }
            return hint(
                "no cgroup may be made here: the tree is read-only or another user's",
                "in Docker run with --cgroupns=private and a writable /sys/fs/cgroup; without root: systemd-run --user "
                    + "--scope -p Delegate=yes mis run ...")
        case EAGAIN:
            return hint(
                "the limit on cgroups is reached (cgroup.max.descendants or cgroup.max.depth)",
                "raise it in the folder above, or remove cgroups nobody uses")
        case ENOSPC:
            return hint("the kernel has no room for another cgroup of this controller", "remove cgroups nobody uses")
        default: return nil
        }
    }
}
