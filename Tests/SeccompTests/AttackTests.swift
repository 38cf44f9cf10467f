import Seccomp
import SeccompRules
import Testing

/// Single attacks by name and arguments, each beside the use that has to work. Written out, so that a wrong table
/// shows even though filter and table agree.
@Suite struct AttackTests {
    enum Answer: UInt32 {
        case allow = 0x7FFF_0000
        case notify = 0x7FC0_0000
        case notPermitted = 0x0005_0001
        case busy = 0x0005_0010
        case invalid = 0x0005_0016
        case absent = 0x0005_0026
    }

    static func answer(
        _ name: String, _ arguments: [UInt64] = [], policy: SeccompPolicy = SeccompPolicy()
    ) throws -> Answer? {
        let number = try #require(SyscallNumbers.number(of: name), "\(name)")
        return try answer(number: UInt32(number), arguments, policy: policy)
    }

    static func answer(
        number: UInt32, _ arguments: [UInt64] = [], policy: SeccompPolicy = SeccompPolicy(),
        architecture: UInt32 = FilterMachine.nativeArchitecture
    ) throws -> Answer? {
        var machine = FilterMachine(try SeccompFilters.filter(for: policy).instructions)
        let padded = arguments + Array(repeating: 0, count: 6 - arguments.count)
        return Answer(
            rawValue: try machine.run(CallData(number: number, architecture: architecture, arguments: padded)))
    }

    let nested = SeccompPolicy(nested: true)

    @Test func numbersThatDoNotExist() throws {
        for number in Array(UInt32(500)...600) + [356, 423, 1023, 0x4000_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF] {
            #expect(try Self.answer(number: number) == .absent, "\(number)")
        }
        #expect(try Self.answer("read") == .allow)
    }

    /// 32-bit programs and x32: nothing of another architecture, whatever its number means there.
    @Test func foreignArchitectures() throws {
        for architecture: UInt32 in [0x4000_0003, 0x4000_0028, 0] {
            for number: UInt32 in [0, 1, 3, 21, 102, 120, 288, 310] {
                #expect(try Self.answer(number: number, architecture: architecture) == .absent)
            }
        }
        for number: UInt32 in [0, 1, 56, 165, 272, 520] {
            #expect(try Self.answer(number: 0x4000_0000 | number) == .absent)
        }
    }

    @Test(arguments: [
        UInt64(0x0002_0000), 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x7E02_0000,
    ])
    func newNamespaces(flag: UInt64) throws {
        #expect(try Self.answer("clone", [flag | 17]) == .notPermitted)
        #expect(try Self.answer("unshare", [flag]) == .notPermitted)
        let lifted: Answer = flag & 0x0200_0000 == 0 ? .allow : .notPermitted
        #expect(try Self.answer("clone", [flag | 17], policy: nested) == lifted)
        #expect(try Self.answer("unshare", [flag], policy: nested) == lifted)
    }

    @Test func newProcesses() throws {
        #expect(try Self.answer("clone", [0x003D_0F00]) == .allow)  // a thread of glibc's
        #expect(try Self.answer("clone", [0x0120_0011]) == .allow)  // fork
        #expect(try Self.answer("clone", [0x4111]) == .allow)  // vfork of Go's
        #expect(try Self.answer("clone3") == .absent)
        #expect(try Self.answer("clone3", policy: nested) == .absent)
        #expect(try Self.answer("unshare", [0x80], policy: nested) == .notPermitted)  // CLONE_NEWTIME
        #expect(try Self.answer("setns") == .notPermitted)
        #expect(try Self.answer("setns", policy: nested) == .allow)
        #expect(try Self.answer("chroot") == .notPermitted)
        #expect(try Self.answer("chroot", policy: nested) == .allow)
    }

    @Test(arguments: ["mount", "umount2", "pivot_root"])
    func mounting(name: String) throws {
        #expect(try Self.answer(name) == .notPermitted)
        #expect(try Self.answer(name, policy: nested) == .notPermitted)
    }

    @Test(arguments: [
        "open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    ])
    func newMountCalls(name: String) throws {
        #expect(try Self.answer(name) == .absent)
        #expect(try Self.answer(name, policy: nested) == .absent)
    }

    @Test(arguments: [
        "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "io_uring_setup",
        "io_uring_enter", "io_uring_register", "init_module", "finit_module", "delete_module", "kexec_load",
        "kexec_file_load", "swapon", "swapoff", "reboot", "acct", "quotactl", "quotactl_fd", "settimeofday",
        "clock_settime", "syslog", "open_by_handle_at", "ptrace", "process_vm_readv", "process_vm_writev",
        "pidfd_getfd", "kcmp", "process_madvise", "mlockall", "lookup_dcookie", "nfsservctl",
    ])
    func dangerousCalls(name: String) throws {
        #expect(try Self.answer(name) == .notPermitted)
    }

    #if arch(x86_64)
        @Test(arguments: ["iopl", "ioperm", "modify_ldt"])
        func hardwareCalls(name: String) throws {
            #expect(try Self.answer(name) == .notPermitted)
        }

        @Test func arch_prctl() throws {
            for code: UInt64 in [0x1002, 0x1003, 0x1021, 0x1022, 0x1023, 0x5001, 0x5005] {
                #expect(try Self.answer("arch_prctl", [code]) == .allow, "\(code)")
            }
            for code: UInt64 in [0, 0x1000, 0x1012, 0x1024, 0x2001, 0x2003, 0x3001, 0x5006, 0xFFFF_FFFF] {
                #expect(try Self.answer("arch_prctl", [code]) == .notPermitted, "\(code)")
            }
        }
    #endif

    @Test func ptraceMayBeAdded() throws {
        for report in SeccompPolicy.Report.allCases {
            let policy = SeccompPolicy(extra: ["ptrace"], report: report)
            #expect(try Self.answer("ptrace", policy: policy) == .allow)
            #expect(try Self.answer("process_vm_readv", policy: policy) != .allow)
        }
    }

    @Test func personality() throws {
        for value: UInt64 in [0, 8, 0x20000, 0x20008, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF] {
            #expect(try Self.answer("personality", [value]) == .allow)
        }
        for value: UInt64 in [0x0400_0000, 0x0040_0000, 0x0040_0008, 0x0800_0000, 0x7FFF_FFFF, 1] {
            #expect(try Self.answer("personality", [value]) == .notPermitted)
        }
    }

    @Test func prctl() throws {
        for arguments: [UInt64] in [[35, 8], [28, 0x2F], [24, 21], [47, 2, 21], [0xFFFF_FFFF_0000_0023]] {
            #expect(try Self.answer("prctl", arguments) == .notPermitted, "\(arguments)")
        }
        for arguments: [UInt64] in [
            [15], [4, 0], [1, 9], [38, 1], [22, 2], [23, 0], [47, 1], [36, 1], [0x5356_4D41],
        ] {
            #expect(try Self.answer("prctl", arguments) == .allow, "\(arguments)")
        }
        #expect(try Self.answer("prctl", [1000]) == .invalid)
    }

    @Test func terminals() throws {
        for request: UInt64 in [0x5412, 0x541C, 0x5423, 0x1_0000_5412, 0xDEAD_BEEF_0000_541C] {
            #expect(try Self.answer("ioctl", [0, request]) == .notPermitted, "\(request)")
        }
        for request: UInt64 in [0x5401, 0x5413, 0x5414, 0x541B, 0x5422, 0x5412_0000_0000, 0x8004_5430] {
            #expect(try Self.answer("ioctl", [0, request]) == .allow, "\(request)")
        }
    }

    @Test func socketFamilies() throws {
        let stream: UInt64 = 1 | 0o2000000 | 0o4000
        for arguments: [UInt64] in [
            [1, stream, 0], [2, stream, 0], [2, stream, 6], [2, 2, 17], [10, 2, 0], [10, stream, 262], [2, 2, 1],
            [10, 2, 58], [2, 3, 1], [16, 3, 0],
        ] {
            #expect(try Self.answer("socket", arguments) == .allow, "\(arguments)")
        }
        // Every other family; netlink beyond routing (netfilter, xfrm, audit); SCTP, DCCP, L2TP; SEQPACKET, DCCP types.
        for family in UInt64(0)...60 where ![1, 2, 10, 16].contains(family) {
            #expect(try Self.answer("socket", [family, 1, 0]) == .notPermitted, "\(family)")
        }
        for arguments: [UInt64] in [
            [16, 3, 12], [16, 3, 6], [16, 3, 9], [16, 3, 16], [2, 1, 132], [2, 5, 0], [2, 5, 132], [10, 6, 33],
            [2, 2, 115], [2, 2, 136], [2, 10, 0], [0xFFFF_FFFF, 1, 0],
        ] {
            #expect(try Self.answer("socket", arguments) == .notPermitted, "\(arguments)")
            #expect(try Self.answer("socket", arguments, policy: nested) == .notPermitted, "\(arguments)")
        }
        #expect(try Self.answer("socketpair", [1, 1, 0]) == .allow)
        #expect(try Self.answer("socketpair", [30, 1, 0]) == .notPermitted)
    }

    @Test func socketOptions() throws {
        for arguments: [UInt64] in [
            [3, 6, 31], [3, 17, 100], [3, 0, 64], [3, 41, 64], [3, 0, 96], [3, 0, 128], [3, 0, 17], [3, 41, 35],
            [3, 0xABCD_0000_0006, 0x1234_0000_001F],
        ] {
            #expect(try Self.answer("setsockopt", arguments) == .notPermitted, "\(arguments)")
        }
        for arguments: [UInt64] in [
            [3, 1, 2], [3, 6, 1], [3, 17, 103], [3, 0, 1], [3, 41, 26], [3, 1, 31], [3, 58, 64],
        ] {
            #expect(try Self.answer("setsockopt", arguments) == .allow, "\(arguments)")
        }
    }

    @Test func priorities() throws {
        for policy: UInt64 in [0, 3, 5, 0x4000_0003] {
            #expect(try Self.answer("sched_setscheduler", [0, policy]) == .allow)
        }
        for policy: UInt64 in [1, 2, 6, 0x4000_0001] {
            #expect(try Self.answer("sched_setscheduler", [0, policy]) == .notPermitted)
        }
        #expect(try Self.answer("sched_setattr") == .absent)
        #expect(try Self.answer("ioprio_set", [1, 0, 0x4004]) == .allow)
        #expect(try Self.answer("ioprio_set", [1, 0, 0x6000]) == .allow)
        #expect(try Self.answer("ioprio_set", [1, 0, 0x2004]) == .notPermitted)
    }

    /// The agent's own filters are fine; a second listener only where the sandbox has none.
    @Test func ownFilters() throws {
        let reported = SeccompPolicy(report: .refusals)
        #expect(try Self.answer("seccomp", [1, 8]) == .allow)
        #expect(try Self.answer("seccomp", [1, 9], policy: reported) == .busy)
        #expect(try Self.answer("seccomp", [1, 1], policy: reported) == .allow)
        #expect(try Self.answer("seccomp", [2, 8], policy: reported) == .allow)
    }

    @Test func refusalsAreReported() throws {
        let reported = SeccompPolicy(report: .refusals)
        for (name, arguments) in [
            ("mount", []), ("bpf", []), ("ioctl", [0, 0x5412]), ("socket", [38, 5, 0]), ("clone", [0x1000_0011]),
            ("io_uring_setup", []),
        ] as [(String, [UInt64])] {
            #expect(try Self.answer(name, arguments, policy: reported) == .notify, "\(name)")
        }
        // Asked by honest programs, and silent: no notification, no delay.
        for name in ["mbind", "kcmp", "mlockall", "fanotify_init"] {
            #expect(try Self.answer(name, policy: reported) == .notPermitted, "\(name)")
        }
        #expect(try Self.answer("unlink", policy: reported) == .allow)
    }

    @Test func writesAreObserved() throws {
        let observing = SeccompPolicy(report: .refusalsAndWrites)
        for flags: UInt64 in [0o1, 0o2, 0o100, 0o1000, 0o102, 0o20_200_002, 0o2_000_101] {
            #expect(try Self.answer("openat", [0, 0, flags], policy: observing) == .notify)
            #expect(try Self.answer("openat", [0, 0, flags]) == .allow)
        }
        for flags: UInt64 in [0, 0o2_000_000, 0o200_000, 0o10_000_000, 0x2_0000_0000] {
            #expect(try Self.answer("openat", [0, 0, flags], policy: observing) == .allow)
        }
        for name in [
            "openat2", "truncate", "unlinkat", "renameat", "renameat2", "linkat", "symlinkat", "mkdirat", "mknodat",
            "fchmodat", "fchmodat2", "fchownat", "setxattr", "removexattr", "setxattrat",
        ] {
            #expect(try Self.answer(name, policy: observing) == .notify, "\(name)")
            #expect(try Self.answer(name) == .allow, "\(name)")
        }
        for name in ["read", "write", "close", "fstat", "statx", "mmap", "futex", "getdents64", "ftruncate"] {
            #expect(try Self.answer(name, policy: observing) == .allow, "\(name)")
        }
        #expect(try Self.answer("mount", policy: observing) == .notify)
    }

    /// What programs wait for most is decided in a few steps.
    @Test func hotCallsAreCheap() throws {
        for policy in SeccompPolicy.embedded {
            var machine = FilterMachine(try SeccompFilters.filter(for: policy).instructions)
            for name in [
                "read", "write", "openat", "mmap", "futex", "close", "fstat", "newfstatat", "epoll_pwait", "recvmsg",
                "ioctl", "statx", "clock_gettime",
            ] {
                let number = UInt32(try #require(SyscallNumbers.number(of: name)))
                _ = try machine.run(CallData(number: number))
                #expect(machine.steps <= 18, "\(name): \(machine.steps), \(policy)")
            }
        }
    }
}
