/// Calls a profile cannot add, with the reason the user reads.
let forbiddenCalls: [(reason: String, names: String)] = [
    (
        "it changes the mount tree, which is what hides the host",
        "mount umount umount2 pivot_root open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr"
    ),
    ("it loads programs into the kernel", "bpf"),
    ("it is a second way to other calls that no filter sees", "io_uring_setup io_uring_enter io_uring_register"),
    ("it makes kernel bugs exploitable by stopping the kernel at a chosen moment", "userfaultfd"),
    ("keyrings are shared with the user's other sessions", "add_key request_key keyctl"),
    ("it opens files the sandbox does not show", "open_by_handle_at"),
    (
        "it changes the running kernel",
        """
        init_module finit_module delete_module create_module query_module get_kernel_syms kexec_load kexec_file_load
        reboot
        """
    ),
    (
        "it changes settings of the whole machine",
        "swapon swapoff acct quotactl quotactl_fd settimeofday clock_settime nfsservctl"
    ),
    ("it reads and clears the host's kernel log", "syslog"),
    ("it reaches hardware", "iopl ioperm"),
    ("it would change the label that guards the sandbox", "lsm_set_self_attr"),
    ("a filter cannot see its flags; `clone` does the same", "clone3"),
    ("say `nested = true` under [process] to let programs make sandboxes of their own", "unshare setns clone"),
    (
        "it is allowed already, but for uses that are never safe inside",
        "ioctl socket socketpair setsockopt prctl seccomp"
    ),
    (
        "kernels of today do not have it, or no program uses it",
        """
        lookup_dcookie uselib _sysctl ustat sysfs getpmsg putpmsg afs_syscall tuxcall security vserver set_thread_area
        get_thread_area epoll_ctl_old epoll_wait_old remap_file_pages
        """
    ),
]
