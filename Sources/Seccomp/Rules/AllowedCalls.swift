/// What every program may do: the calls of the container default that unprivileged programs use.
let allowedCalls: [SyscallGroup] = [
    SyscallGroup(
        "bytes through descriptors that are already open",
        .allow,
        """
        read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek sendfile copy_file_range splice
        tee vmsplice close close_range dup dup2 dup3 fcntl flock fsync fdatasync sync syncfs sync_file_range ftruncate
        fallocate fadvise64 readahead cachestat pipe pipe2
        """),
    SyscallGroup(
        "looking at files and folders; what is visible is decided by mounts and Landlock",
        .allow,
        """
        stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat getdents
        getdents64 getcwd chdir fchdir umask utime utimes futimesat utimensat getxattr lgetxattr fgetxattr getxattrat
        listxattr llistxattr flistxattr listxattrat name_to_handle_at inotify_init inotify_init1 inotify_add_watch
        inotify_rm_watch statmount listmount
        """),
    SyscallGroup(
        "changing paths: allowed, and shown to a supervisor that asks for it",
        .observe,
        """
        creat openat2 truncate unlink unlinkat rmdir rename renameat renameat2 link linkat symlink symlinkat mkdir
        mkdirat mknod mknodat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat setxattr lsetxattr fsetxattr
        setxattrat removexattr lremovexattr fremovexattr removexattrat
        """),
    SyscallGroup(
        "opening: only what may write or create is shown, so that reading stays fast",
        .choose(Word(1), [.init(.anyBit(OpenFlag.writing), .observe)], otherwise: .allow),
        "open"),
    SyscallGroup(
        "as open, one argument further",
        .choose(Word(2), [.init(.anyBit(OpenFlag.writing), .observe)], otherwise: .allow),
        "openat"),
    SyscallGroup(
        "memory of its own; secret and locked memory stay within RLIMIT_MEMLOCK",
        .allow,
        """
        mmap munmap mprotect mremap brk madvise msync mincore mlock mlock2 munlock munlockall mseal memfd_create
        memfd_secret pkey_alloc pkey_free pkey_mprotect map_shadow_stack
        """),
    SyscallGroup(
        "processes, threads and their ids; without capabilities ids change only among those held already",
        .allow,
        """
        fork vfork execve execveat exit exit_group wait4 waitid getpid getppid gettid getpgid getpgrp setpgid getsid
        setsid getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid
        setresgid setfsuid setfsgid setgroups capget capset pidfd_open pidfd_send_signal process_mrelease
        set_tid_address set_robust_list get_robust_list futex futex_waitv futex_wake futex_wait futex_requeue
        membarrier rseq getcpu getrandom uname sysinfo
        """),
    SyscallGroup(
        "signals, within the pid namespace",
        .allow,
        """
        kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigqueueinfo
        rt_tgsigqueueinfo rt_sigsuspend sigaltstack pause alarm restart_syscall signalfd signalfd4
        """),
    SyscallGroup(
        "waiting for descriptors, and asynchronous IO, which does what read and write do",
        .allow,
        """
        poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd
        eventfd2 io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents
        """),
    SyscallGroup(
        "time and timers; reading the clock's discipline is free, changing it asks for a capability nobody inside has",
        .allow,
        """
        time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep getitimer setitimer timer_create
        timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime timerfd_gettime times
        adjtimex clock_adjtime
        """),
    SyscallGroup(
        "limits and scheduling of its own processes, downwards only without a capability",
        .allow,
        """
        getrlimit setrlimit getrusage getpriority setpriority ioprio_get sched_yield sched_getaffinity
        sched_setaffinity sched_getscheduler sched_getparam sched_setparam sched_get_priority_max
        sched_get_priority_min sched_rr_get_interval sched_getattr
        """),
    SyscallGroup(
        "network and local sockets once made; whom they reach is decided elsewhere",
        .allow,
        """
        connect accept accept4 bind listen getsockname getpeername getsockopt sendto recvfrom sendmsg recvmsg sendmmsg
        recvmmsg shutdown
        """),
    SyscallGroup(
        "System V and POSIX message queues, semaphores and shared memory, within the IPC namespace",
        .allow,
        """
        shmget shmat shmctl shmdt semget semop semtimedop semctl msgget msgsnd msgrcv msgctl mq_open mq_unlink
        mq_timedsend mq_timedreceive mq_notify mq_getsetattr
        """),
    SyscallGroup(
        "giving up rights: stacked rules can only tighten",
        .allow,
        "landlock_create_ruleset landlock_add_rule landlock_restrict_self"),
    SyscallGroup(
        "trampolines the kernel itself puts into a traced program, which dies when they fail",
        .allow,
        "uretprobe uprobe"),
]

enum OpenFlag {
    /// O_WRONLY, O_RDWR, O_CREAT and O_TRUNC (asm-generic/fcntl.h; the same on x86-64 and aarch64).
    static let writing: UInt32 = 0o1 | 0o2 | 0o100 | 0o1000
}
