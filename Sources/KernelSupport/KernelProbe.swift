import Cgroup
import LinuxSystem

extension KernelSupport {
    /// Asks the running kernel what every run needs to know: about twenty system calls, and no file is read.
    public static func probe() -> KernelSupport {
        var support = KernelSupport()
        var names = utsname()
        if unsafe uname(&names) == 0 {
            support.release = text(of: &names.release)
            support.architecture = text(of: &names.machine)
        }
        support.caller = .current()
        support.landlockABI = Int(max(0, clinux_landlock_abi()))
        support.seccompNotification = clinux_seccomp_action_available(UInt32(SECCOMP_RET_USER_NOTIF)) == 0
        support.fanotify = fanotify(for: support.caller)
        support.securityModules = activeSecurityModules()
        support.bpf.hasTypeInformation = unsafe access("/sys/kernel/btf/vmlinux", R_OK) == 0
        var bpf = statfs()
        // BPF_FS_MAGIC of linux/magic.h.
        support.bpf.hasFileSystem = unsafe statfs("/sys/fs/bpf", &bpf) == 0 && bpf.f_type == 0xCAFE_4A11
        support.cgroup = CgroupHierarchy.detect()
        var system = sysinfo()
        if unsafe sysinfo(&system) == 0 {
            support.memory = UInt64(system.totalram) * UInt64(max(1, system.mem_unit))
        }
        support.processors = Int(clinux_processors())
        support.lastCapability = lastKnownCapability()
        return support
    }

    private static func text<Array>(of field: inout Array) -> String {
        unsafe withUnsafeBytes(of: &field) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func fanotify(for caller: Caller) -> Answer {
        guard caller.has(.systemAdministration) else {
            return .no(caller.isRoot ? "CAP_SYS_ADMIN is missing" : "it needs root")
        }
        // A group that decides: refused to whoever is root of a mere user namespace. Asked for with an access mode there
        // is none of (3): the kernel looks at that after the privileges (fs/notify/fanotify/fanotify_user.c), and no
        // group is made, whose closing would take milliseconds.
        do throws(Errno) {
            _ = FileDescriptor(
                owning: try kernel { fanotify_init(UInt32(FAN_CLASS_CONTENT | FAN_CLOEXEC), UInt32(O_ACCMODE)) })
            return .yes
        } catch let error where error.code == EINVAL {
            return .yes
        } catch let error where error.code == ENOSYS {
            return .no("this kernel is built without fanotify")
        } catch let error where error.code == EPERM {
            return .no("it needs root outside of any user namespace (fanotify_init: EPERM)")
        } catch {
            return .no("fanotify_init: \(error)")
        }
    }

    /// lsm_list_modules(2), or the file older kernels have.
    private static func activeSecurityModules() -> [String]? {
        var identifiers = [UInt64](repeating: 0, count: 64)
        let count = unsafe identifiers.withUnsafeMutableBufferPointer { buffer -> Int32 in
            guard let start = buffer.baseAddress else { return -1 }
            return unsafe clinux_security_modules(start, UInt32(buffer.count))
        }
        if count >= 0 { return identifiers.prefix(Int(count)).map(SecurityModule.name(of:)) }
        guard let text = try? readText("/sys/kernel/security/lsm") else { return nil }
        return text.split(whereSeparator: { $0 == "," || $0 == "\n" }).map(String.init)
    }

    private static func lastKnownCapability() -> Int {
        // CAP_CHECKPOINT_RESTORE (Linux 5.9) has been the last for years: two questions instead of forty.
        if clinux_capability_known(40) != 0, clinux_capability_known(41) == 0 { return 40 }
        return Int(clinux_capability_last())
    }
}

extension Caller {
    /// The running process.
    static func current() -> Caller {
        var caller = Caller()
        caller.user = getuid()
        caller.effectiveUser = geteuid()
        caller.group = getgid()
        caller.effectiveGroup = getegid()
        var permitted: UInt64 = 0
        if unsafe clinux_capability_sets(&caller.capabilities, &permitted) != 0 { caller.capabilities = 0 }
        caller.isPrivilegedExecution = clinux_is_privileged_execution() != 0
        return caller
    }
}

/// LSM_ID_* of linux/lsm.h: a stable interface.
enum SecurityModule {
    private static let names = [
        "capability", "selinux", "smack", "tomoyo", "apparmor", "yama", "loadpin", "safesetid", "lockdown", "bpf",
        "landlock", "ima", "evm", "ipe",
    ]

    static func name(of identifier: UInt64) -> String {
        let place = Int(truncatingIfNeeded: identifier &- 100)
        return names.indices.contains(place) ? names[place] : "module \(identifier)"
    }
}
