extension DoctorChecks {
    /// What the bpf tier needs, one by one, and whether it is part of this version.
    var bpf: [DoctorCheck] {
        [bpfTier, bpfKernel, bpfModule, bpfTypes, bpfFileSystem, bpfPrivileges, bpfProgram]
    }

    private var bpfTier: DoctorCheck {
        DoctorCheck(
            "bpf-tier", ok: TierAvailability.bpfIsBuiltIn,
            TierAvailability.bpfIsBuiltIn ? "built in" : "the bpf tier is not built into this version of mis",
            fix: "none yet: tier \(support.bestTier?.rawValue ?? "landlock") is in force; the checks below say whether "
                + "this machine is ready for it")
    }

    private var bpfKernel: DoctorCheck {
        DoctorCheck(
            "bpf-kernel", ok: support.isAtLeast(.bpfTier), support.release,
            fix: "boot kernel \(KernelVersion.bpfTier) or newer")
    }

    private var bpfModule: DoctorCheck {
        guard let modules = support.securityModules else {
            return DoctorCheck(
                "bpf-lsm", ok: false, "the kernel does not say which security modules it runs",
                fix: bootParameter(adding: "bpf"))
        }
        let built = detail.bpf.isBuilt == false ? "; CONFIG_BPF_LSM is not set in /boot/config-\(support.release)" : ""
        return DoctorCheck(
            "bpf-lsm", ok: modules.contains("bpf"),
            "active security modules: \(modules.joined(separator: ","))\(built)",
            fix: detail.bpf.isBuilt == false
                ? "install a kernel built with CONFIG_BPF_LSM=y (Debian's and Ubuntu's are), then "
                    + bootParameter(adding: "bpf")
                : bootParameter(adding: "bpf"))
    }

    private var bpfTypes: DoctorCheck {
        DoctorCheck(
            "bpf-type-information", ok: detail.bpf.hasTypeInformation,
            detail.bpf.hasTypeInformation ? "/sys/kernel/btf/vmlinux" : "there is no /sys/kernel/btf/vmlinux",
            fix: "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y")
    }

    private var bpfFileSystem: DoctorCheck {
        DoctorCheck(
            "bpf-file-system", ok: detail.bpf.hasFileSystem,
            detail.bpf.hasFileSystem ? "/sys/fs/bpf" : "no BPF file system is mounted at /sys/fs/bpf",
            fix: "mount -t bpf bpf /sys/fs/bpf")
    }

    private var bpfPrivileges: DoctorCheck {
        let missing = [Caller.Capability.systemAdministration, .bpf, .performanceMonitoring].filter {
            !support.caller.has($0)
        }
        return DoctorCheck(
            "bpf-privileges", ok: missing.isEmpty,
            missing.isEmpty ? "all there" : "missing: \(missing.map(\.name).joined(separator: ", "))",
            fix: support.caller.isRoot
                ? "give the container \(missing.map(\.name).joined(separator: ", ")), or run mis outside of it"
                : "run it as root: sudo mis run ...")
    }

    private var bpfProgram: DoctorCheck {
        switch detail.bpf.program {
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
