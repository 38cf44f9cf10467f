import Seccomp
import SeccompRules
import Testing

/// Against the container default (moby/profiles, seccomp/default.json, with no capability): whatever it refuses is
/// refused here, or is an exception with a reason; and where this table is stricter it says why.
@Suite struct DockerComparisonTests {
    /// Calls of x86-64 the container default does not allow to a process without capabilities.
    static let refusedByDocker = words(
        """
        syslog uselib ustat sysfs vhangup pivot_root _sysctl chroot acct settimeofday mount umount2 swapon swapoff
        reboot sethostname setdomainname iopl ioperm create_module init_module delete_module get_kernel_syms
        query_module quotactl nfsservctl getpmsg putpmsg afs_syscall tuxcall security lookup_dcookie clock_settime
        vserver mbind set_mempolicy get_mempolicy kexec_load add_key request_key keyctl migrate_pages unshare move_pages
        perf_event_open fanotify_init open_by_handle_at setns kcmp finit_module kexec_file_load bpf userfaultfd uprobe
        io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount fspick clone3
        pidfd_getfd process_madvise mount_setattr quotactl_fd set_mempolicy_home_node lsm_get_self_attr
        lsm_set_self_attr lsm_list_modules open_tree_attr file_getattr file_setattr listns rseq_slice_yield
        """)

    /// Refused there, allowed here.
    static let exceptions = [
        "uprobe": "made by the kernel in a program that is traced from outside, as uretprobe, which docker allows"
    ]

    /// Allowed there, refused or pretended absent here.
    static let stricter = [
        "ptrace": "an agent steers its helpers and they hold the user's work; a profile may add it",
        "process_vm_readv": "as ptrace",
        "process_vm_writev": "as ptrace",
        "mlockall": "locks memory; programs try it and go on",
        "fanotify_mark": "of no use without fanotify_init, which docker refuses too",
        "modify_ldt": "for 16-bit and 32-bit programs, which do not run here",
        "sched_setattr": "its class lies behind a pointer; sched_setscheduler is checked",
        "remap_file_pages": "emulated since Linux 4.0, used by nobody, and again and again a kernel bug",
        "get_thread_area": "for 32-bit programs; x86-64 kernels answer ENOSYS",
        "set_thread_area": "for 32-bit programs; x86-64 kernels answer ENOSYS",
        "epoll_ctl_old": "never implemented on x86-64",
        "epoll_wait_old": "never implemented on x86-64",
    ]

    private static func words(_ text: String) -> [String] {
        text.split(whereSeparator: \.isWhitespace).map(String.init)
    }

    @Test(arguments: refusedByDocker)
    func refusedThereIsRefusedHere(name: String) throws {
        guard let number = SyscallNumbers.number(of: name) else { return }
        let answer = try AttackTests.answer(number: UInt32(number))
        if let reason = Self.exceptions[name] {
            #expect(answer == .allow && !reason.isEmpty, "\(name) is no exception")
        } else {
            #expect(answer == .notPermitted || answer == .absent, "\(name)")
        }
    }

    @Test func stricterCallsHaveAReason() throws {
        let docker = Set(Self.refusedByDocker)
        for (name, group) in SeccompTable.rules where !docker.contains(name) {
            guard case .outcome = group.decision, group.decision.denies else { continue }
            #expect(Self.stricter[name] != nil, "\(name) is allowed by docker and refused here without a reason")
        }
        for name in Self.stricter.keys {
            #expect(SeccompTable.rules[name]?.decision.denies == true, "\(name) is not stricter here")
            #expect(!docker.contains(name), "\(name)")
        }
    }
}
