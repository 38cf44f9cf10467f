import Cgroup
import LinuxSystem

extension KernelSupport {
    /// All there is to know of this machine, for `mis doctor` and for explaining a failed launch. Takes milliseconds:
    /// it makes a user namespace and loads a program on trial, and reads files.
    /// - Parameter stateFolder: where sessions are kept; need not exist yet.
    public static func fullProbe(stateFolder: String) -> KernelSupport {
        var support = probe()
        var detail = MachineDetail()
        detail.userNamespace = tryUserNamespace()
        detail.maxUserNamespaces = number("/proc/sys/user/max_user_namespaces")
        detail.unprivilegedUserNamespaceClone = number("/proc/sys/kernel/unprivileged_userns_clone")
        detail.appArmorRestrictsUserNamespaces = number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
        detail.memfdNoExec = number("/proc/sys/vm/memfd_noexec")
        if support.fanotify.isYes { detail.permissionEvents = tryPermissionEvents() }
        tryPrograms(&support)
        detail.fanotifyGroups = number("/proc/sys/fs/fanotify/max_user_groups")
        detail.inotifyInstances = number("/proc/sys/fs/inotify/max_user_instances")
        detail.kernelCommandLine = line("/proc/cmdline") ?? ""
        let account = Account.withUser(support.caller.user)
        detail.userName = account?.name
        detail.subordinateUsers = ranges("/etc/subuid", for: support.caller.user, account?.name)
        detail.subordinateGroups = ranges("/etc/subgid", for: support.caller.user, account?.name)
        detail.hasMapTools = ["newuidmap", "newgidmap"].allSatisfy { unsafe access("/usr/bin/\($0)", X_OK) == 0 }
        detail.mitigations = mitigations()
        detail.ownCgroups = ((try? readText("/proc/self/cgroup")) ?? "").split(separator: "\n").map(String.init)
        if let folder = support.cgroup.hierarchy?.unified {
            detail.unifiedControllers = (line("\(folder)/cgroup.controllers") ?? "").split(separator: " ")
                .map(String.init)
        }
        detail.ioWeight = IOWeight.problem().map { .no($0) } ?? .yes
        detail.stateFolder = look(at: stateFolder)
        var system = sysinfo()
        if unsafe sysinfo(&system) == 0 { detail.swap = UInt64(system.totalswap) * UInt64(max(1, system.mem_unit)) }
        if let program = try? readLink("/proc/self/exe") { detail.program = program }
        support.detail = detail
        return support
    }

    private static func line(_ path: String) -> String? {
        guard let text = try? readText(path) else { return nil }
        return String(text.prefix { $0 != "\n" })
    }

    private static func number(_ path: String) -> Int? { line(path).flatMap { Int($0) } }

    private static func tryUserNamespace() -> UserNamespaceTrial {
        var error: Int32 = 0
        let stage: UserNamespaceTrial.Stage
        switch unsafe clinux_try_user_namespace(&error) {
        case Int32(clinux_trial_done.rawValue): return .works
        case Int32(clinux_trial_namespace.rawValue): stage = .namespace
        case Int32(clinux_trial_mount.rawValue): stage = .mount
        case Int32(clinux_trial_proc.rawValue): stage = .proc
        default: stage = .process
        }
        return .failed(stage, errno: error)
    }

    /// Marks a memory file nobody else can open: no access of anybody waits for this.
    private static func tryPermissionEvents() -> Answer {
        do throws(Errno) {
            let group = FileDescriptor(
                owning: try kernel { fanotify_init(UInt32(FAN_CLASS_CONTENT | FAN_CLOEXEC), UInt32(O_RDONLY)) })
            // MFD_CLOEXEC.
            let file = FileDescriptor(
                owning: try kernel { unsafe clinux_memfd_create("mis-trial", UInt32(1)) })
            try kernel {
                fanotify_mark(group.number, UInt32(FAN_MARK_ADD), UInt64(FAN_OPEN_PERM), file.number, nil)
            }
            return .yes
        } catch let error where error.code == EINVAL {
            return .no("this kernel is built without CONFIG_FANOTIFY_ACCESS_PERMISSIONS")
        } catch {
            return .no("fanotify_mark: \(error)")
        }
    }

    private static func tryPrograms(_ support: inout KernelSupport) {
        if let text = try? readText("/boot/config-\(support.release)") {
            support.bpf.isBuilt = text.split(separator: "\n").contains("CONFIG_BPF_LSM=y")
        }
        guard support.bpf.hasTypeInformation, support.securityModules?.contains("bpf") ?? false,
            support.caller.has(.systemAdministration) || support.caller.has(.bpf)
        else { return }
        do throws(Errno) {
            try kernel { clinux_try_lsm_program() }
            support.bpf.program = .yes
        } catch {
            support.bpf.program = .no("loading an LSM program: \(error)")
        }
    }

    private static func ranges(_ file: String, for user: UInt32, _ name: String?) -> [String] {
        guard let text = try? readText(file, limit: 4 << 20) else { return [] }
        return text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count == 3, fields[0] == "\(user)" || fields[0] == name.map({ $0[...] }) else { return nil }
            return "\(fields[1]):\(fields[2])"
        }
    }

    private static func mitigations() -> [MachineDetail.Mitigation] {
        let folder = "/sys/devices/system/cpu/vulnerabilities"
        return ((try? namesInFolder(folder)) ?? []).sorted().compactMap { name in
            line("\(folder)/\(name)").map { MachineDetail.Mitigation(name: name, status: $0) }
        }
    }

    private static func look(at folder: String) -> MachineDetail.StateFolder {
        // The nearest folder that exists: the rest is made when the first session is.
        var path = folder
        while path != "/", unsafe access(path, F_OK) != 0 {
            guard let slash = path.lastIndex(of: "/") else { break }
            path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
        var system = statfs()
        guard unsafe statfs(path, &system) == 0 else {
            return .init(path: folder, free: 0, problem: "there is no \(path)")
        }
        let free = UInt64(system.f_bavail) * UInt64(system.f_bsize)
        guard unsafe access(path, W_OK | X_OK) == 0 else {
            return .init(path: folder, free: free, problem: "\(path): \(Errno(errno))")
        }
        return .init(path: folder, free: free)
    }
}
