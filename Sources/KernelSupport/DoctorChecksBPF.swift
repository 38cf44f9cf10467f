extension DoctorChecks {
    /// What the bpf tier needs, one by one.
    var bpf: [DoctorCheck] {
        [bpfKernel, bpfModule, bpfTypes, bpfFileSystem, bpfPrivileges, bpfCgroup, bpfProgram]
    }

    private var bpfKernel: DoctorCheck {
        DoctorCheck(
            "bpf-kernel", ok: support.isAtLeast(.bpfTier) && support.architecture == "x86_64",
            "\(support.release), \(support.architecture)",
            fix: "boot kernel \(KernelVersion.bpfTier) or newer, of x86_64")
    }

    private var bpfModule: DoctorCheck {
        guard let modules = support.securityModules else {
            return DoctorCheck(
                "bpf-lsm", ok: false, "the kernel does not say which security modules it runs",
                fix: bootParameter(adding: "bpf"))
        }
        let built = support.bpf.isBuilt == false ? "; CONFIG_BPF_LSM is not set in /boot/config-\(support.release)" : ""
        return DoctorCheck(
            "bpf-lsm", ok: modules.contains("bpf"),
            "active security modules: \(modules.joined(separator: ","))\(built)",
            fix: support.bpf.isBuilt == false
                ? "install a kernel built with CONFIG_BPF_LSM=y (Debian's and Ubuntu's are), then "
                    + bootParameter(adding: "bpf")
                : bootParameter(adding: "bpf"))
    }

    private var bpfTypes: DoctorCheck {
        DoctorCheck(
            "bpf-type-information", ok: support.bpf.hasTypeInformation,
            support.bpf.hasTypeInformation ? "/sys/kernel/btf/vmlinux" : "there is no /sys/kernel/btf/vmlinux",
            fix: "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y")
    }

    private var bpfFileSystem: DoctorCheck {
        DoctorCheck(
            "bpf-file-system", ok: support.bpf.hasFileSystem,
            support.bpf.hasFileSystem ? "/sys/fs/bpf" : "no BPF file system is mounted at /sys/fs/bpf",
            fix: "mount -t bpf bpf /sys/fs/bpf")
    }

    private var bpfPrivileges: DoctorCheck {
        // Of the three that the kernel asks about, one is enough: whoever has it has CAP_BPF and CAP_PERFMON with it
        // (bpf_capable() and perfmon_capable() in linux/capability.h). The two without it are not: descriptors by number.
        let needed = Caller.Capability.systemAdministration
        return DoctorCheck(
            "bpf-privileges", ok: support.caller.has(needed),
            support.caller.has(needed) ? "all there" : "missing: \(needed.name)",
            fix: support.caller.isRoot
                ? "give the container \(needed.name), or run mis outside of it"
                : "run it as root: sudo mis run ...")
    }

    private var bpfCgroup: DoctorCheck {
        let unified = support.cgroup.hierarchy?.unified
        return DoctorCheck(
            "bpf-cgroup", ok: unified != nil,
            unified ?? "no cgroup of the v2 tree can be made: a sandbox is known by it",
            fix: "mount -t cgroup2 cgroup2 /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1")
    }

    private var bpfProgram: DoctorCheck {
        switch support.bpf.program {
        case .yes: DoctorCheck("bpf-program", ok: true, "the kernel takes LSM programs")
        case .no(let reason):
            DoctorCheck(
                "bpf-program", ok: false, reason,
                fix: "this kernel lists bpf and refuses its programs (a lockdown, or a restricted virtual machine): "
                    + "boot a distribution's kernel; `lockdown=none` if lockdown is what refuses")
        case nil:
            DoctorCheck(
                "bpf-program", ok: false, "not tried: something above is missing", fix: "see the checks above")
        }
    }
}
