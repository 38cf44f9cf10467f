/// What no program inside gets: recorded where it is an attempt at something, silent where programs just ask.
let refusedCalls: [SyscallGroup] = [
    SyscallGroup(
        "changing the mount tree",
        .refuse, counts: true,
        "mount umount2 pivot_root"),
    SyscallGroup(
        "the mount calls that libraries probe for, and clone3, whose flags lie behind a pointer where a filter cannot "
            + "see them: pretended absent, so that callers fall back to the calls that are checked",
        .answer(Errno.noSuchCall),
        "open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr clone3"),
    SyscallGroup(
        "programs inside the kernel, and faults served by the attacker at a moment of his choice",
        .refuse, counts: true,
        "bpf userfaultfd"),
    SyscallGroup(
        "a second way to nearly every call, which no filter sees; libuv asks for it at each start",
        .refuse,
        "io_uring_setup io_uring_enter io_uring_register"),
    SyscallGroup(
        "measuring and tracing the kernel; profilers ask for it",
        .refuse,
        "perf_event_open syslog"),
    SyscallGroup(
        "keyrings belong to the user, not to the sandbox",
        .refuse, counts: true,
        "add_key request_key keyctl"),
    SyscallGroup(
        "opening files by number reaches past the mounts",
        .refuse, counts: true,
        "open_by_handle_at"),
    SyscallGroup(
        "reading, writing and steering other processes; debuggers ask for it",
        .refuse,
        "ptrace process_vm_readv process_vm_writev pidfd_getfd"),
    SyscallGroup(
        "comparing and advising other processes: graphics drivers and allocators ask, and live without",
        .answer(Errno.notPermitted),
        "kcmp process_madvise"),
    SyscallGroup(
        "loading code into the kernel or replacing it",
        .refuse, counts: true,
        "init_module finit_module delete_module create_module kexec_load kexec_file_load"),
    SyscallGroup(
        "settings of the whole machine",
        .refuse, counts: true,
        "reboot swapon swapoff acct quotactl quotactl_fd settimeofday clock_settime nfsservctl lookup_dcookie"),
    SyscallGroup(
        "the host's name, within its namespace",
        .refuse,
        "sethostname setdomainname"),
    SyscallGroup(
        "hardware ports and segment descriptors",
        .refuse, counts: true,
        "iopl ioperm modify_ldt"),
    SyscallGroup(
        "loading a library the old way; hanging up the terminal",
        .refuse,
        "uselib vhangup"),
    SyscallGroup(
        "placing memory on nodes: a privilege in the container default, and libraries live without",
        .answer(Errno.notPermitted),
        "get_mempolicy set_mempolicy set_mempolicy_home_node mbind migrate_pages move_pages"),
    SyscallGroup(
        "locking everything: programs try it to run evenly, and go on",
        .answer(Errno.notPermitted),
        "mlockall"),
    SyscallGroup(
        "watching whole mounts: file watchers try it before inotify",
        .answer(Errno.notPermitted),
        "fanotify_init fanotify_mark"),
    SyscallGroup(
        "the scheduling class lies behind a pointer; callers fall back to sched_setscheduler, which is checked",
        .answer(Errno.noSuchCall),
        "sched_setattr"),
    SyscallGroup(
        "modules of the kernel's security and other namespaces: libraries fall back to /proc",
        .answer(Errno.noSuchCall),
        "lsm_get_self_attr lsm_set_self_attr lsm_list_modules listns"),
    SyscallGroup(
        "too new to be needed: libraries fall back to the ioctl or do without",
        .answer(Errno.noSuchCall),
        "file_getattr file_setattr rseq_slice_yield"),
    SyscallGroup(
        "replaced or never finished: no program of today needs them",
        .answer(Errno.noSuchCall),
        """
        remap_file_pages ustat sysfs _sysctl get_kernel_syms query_module getpmsg putpmsg afs_syscall tuxcall security
        vserver set_thread_area get_thread_area epoll_ctl_old epoll_wait_old
        """),
]
