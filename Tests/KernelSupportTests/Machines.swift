import Cgroup
import KernelSupport

/// Machines that are described, not met.
extension KernelSupport {
    /// Everything mis can use, as root.
    static var complete: KernelSupport {
        var support = KernelSupport()
        support.release = "6.12.9-amd64"
        support.architecture = "x86_64"
        support.caller.capabilities = 0x1FF_FFFF_FFFF
        support.landlockABI = 7
        support.seccompNotification = true
        support.fanotify = .yes
        support.securityModules = ["lockdown", "capability", "landlock", "yama", "apparmor", "bpf"]
        support.cgroup = .found(CgroupHierarchy(unified: "/sys/fs/cgroup"))
        support.memory = 8 << 30
        support.processors = 4
        var detail = MachineDetail()
        detail.permissionEvents = .yes
        support.bpf.hasTypeInformation = true
        support.bpf.hasFileSystem = true
        support.bpf.program = .yes
        detail.unifiedControllers = ["cpuset", "cpu", "io", "memory", "pids"]
        detail.ownCgroups = ["0::/user.slice/session-1.scope"]
        detail.mitigations = [.init(name: "meltdown", status: "Mitigation: PTI")]
        detail.stateFolder = .init(path: "/var/lib/mis", free: 10 << 30)
        detail.userName = "ann"
        detail.fanotifyGroups = 128
        detail.inotifyInstances = 1024
        support.detail = detail
        return support
    }

    /// The same machine, met by an ordinary user.
    static var ordinary: KernelSupport {
        var support = complete
        support.caller.user = 1000
        support.caller.effectiveUser = 1000
        support.caller.capabilities = 0
        support.fanotify = .no("it needs root")
        support.detail?.permissionEvents = nil
        support.bpf.program = nil
        return support
    }

    /// A copy with something changed.
    func with(_ change: (inout KernelSupport) -> Void) -> KernelSupport {
        var copy = self
        change(&copy)
        return copy
    }

    /// A copy with some detail changed.
    func withDetail(_ change: (inout MachineDetail) -> Void) -> KernelSupport {
        var copy = self
        var detail = copy.detail ?? MachineDetail()
        change(&detail)
        copy.detail = detail
        return copy
    }
}
