/*
 * Class G: the system-call surface.
 *
 * Most of these calls would change the whole machine if they worked, so they are made with arguments that cannot work:
 * a control counts as a success when the kernel's own code has looked at them (EFAULT, EINVAL, ENOENT...).
 */
#include "attack.h"
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <termios.h>
#include <ucontext.h>

static long bad(void) {
    return (long)(intptr_t)-1;
}

static void machine_calls(void) {
    /* bpf checks its size before anything; a size of zero is asked for attributes that are not there. */
    reach("bpf", syscall(SYS_bpf, 5, bad(), 128));
    reach("perf_event_open", syscall(SYS_perf_event_open, bad(), 0, -1, -1, 0));
    reach("kexec_load", syscall(SYS_kexec_load, 0, 17, bad(), 0xffff));
    reach("kexec_file_load", syscall(SYS_kexec_file_load, -1, -1, 0, 0, 0xffff));
    reach("init_module", syscall(SYS_init_module, 0, 0, 0));
    reach("finit_module", syscall(SYS_finit_module, -1, "", 0));
    reach("delete_module", syscall(SYS_delete_module, "mis_attack_no_such", O_NONBLOCK));
    reach("swapon", syscall(SYS_swapon, "/mis-attack-none", 0));
    reach("swapoff", syscall(SYS_swapoff, "/mis-attack-none"));
    reach("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
    reach("acct", syscall(SYS_acct, "/mis-attack-none"));
    reach("quotactl", syscall(SYS_quotactl, 0x800002 << 8, "/mis-attack-none", 0, bad()));
    reach("settimeofday", syscall(SYS_settimeofday, bad(), 0));
    reach("clock_settime", syscall(SYS_clock_settime, CLOCK_REALTIME, bad()));
    reach("syslog", syscall(SYS_syslog, 3, bad(), 0));
    reach("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, bad(), 0));
    reach("fanotify_init", close_if_open(syscall(SYS_fanotify_init, 4, O_RDONLY)));
    reach("sethostname", syscall(SYS_sethostname, bad(), 70));
    reach("setdomainname", syscall(SYS_setdomainname, bad(), 70));
    near("uname", 0);
}

static void own_memory_calls(void) {
    reach("userfaultfd", close_if_open(syscall(SYS_userfaultfd, O_CLOEXEC)));
    reach("io_uring_setup", close_if_open(syscall(SYS_io_uring_setup, 8, bad())));
    reach("io_uring_enter", syscall(SYS_io_uring_enter, -1, 0, 0, 0, 0, 0));
    reach("io_uring_register", syscall(SYS_io_uring_register, -1, 0, 0, 0));
    reach("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), bad(), 1, bad(), 1, 0));
    reach("process_vm_writev", syscall(SYS_process_vm_writev, getpid(), bad(), 1, bad(), 1, 0));
    reach("kcmp", syscall(SYS_kcmp, getpid(), getpid(), 0, 1, 1));
    reach("mbind", syscall(SYS_mbind, 0, 0, 0, bad(), 8, 0));
    reach("move_pages", syscall(SYS_move_pages, 0, 1, bad(), 0, 0, 0));
    near("mmap", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
}

/* Numbers that do not exist are answered ENOSYS, as a kernel does: libraries probe for new calls that way. */
static void absent_numbers(void) {
    long wrong = 0;
    for (long number = 500; number <= 600; number++)
        wrong += !(syscall(number, 0, 0, 0, 0, 0, 0) < 0 && errno == ENOSYS);
    static const long others[] = {1023, 0x40000000L, 0x7fffffffL, -1, 400};
    for (size_t each = 0; each < sizeof others / sizeof *others; each++)
        wrong += !(syscall(others[each], 0, 0, 0, 0, 0, 0) < 0 && errno == ENOSYS);
    /* x32: the same calls with bit 30 set. */
    for (long number = 0; number < 10; number++)
        wrong += !(syscall(0x40000000L | (512 + number), 0, 0, 0, 0, 0, 0) < 0 && errno == ENOSYS);
    errno = ENOSYS;
    step("an unknown number", wrong ? 0 : -1);
    near("getpid", getpid());
}

#ifdef __x86_64__
/* int 0x80 from a 64-bit program: 32-bit numbers, another architecture for the filter. */
static long compatible(long number, long a, long b, long c, long d, long e) {
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "memory", "r8", "r9", "r10", "r11");
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

static void foreign_architecture(void) {
    char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    snprintf(low, 4096, "%s", argument("mountpoint"));
    snprintf(low + 2048, 16, "tmpfs");
    step("getpid", compatible(20, 0, 0, 0, 0, 0));
    step("unshare", compatible(310, CLONE_NEWUTS, 0, 0, 0, 0));
    step("mount", compatible(21, (long)(low + 2048), (long)low, (long)(low + 2048), 0, 0));
    reach("keyctl", compatible(288, 0, -2, 1, 0, 0));
    reach("bpf", compatible(357, 5, -1, 128, 0, 0));
    /* socketcall hides the family behind a pointer. */
    uint32_t *family = (uint32_t *)(low + 3072);
    family[0] = AF_NETLINK, family[1] = SOCK_RAW, family[2] = 12;
    step("socketcall", close_if_open(compatible(102, 1, (long)family, 0, 0, 0)));
    umount2(argument("mountpoint"), MNT_DETACH);
    near("64-bit getpid", getpid());
}
#endif

/* The descriptor of a terminal of our own. */
static int terminal(void) {
    int controller = posix_openpt(O_RDWR | O_NOCTTY);
    if (controller < 0 || grantpt(controller) || unlockpt(controller))
        return -1;
    return open(ptsname(controller), O_RDWR | O_NOCTTY);
}

static int inject(void *garbage) {
    /* Only a session leader's controlling terminal takes it without CAP_SYS_ADMIN. */
    setsid();
    int fd = terminal();
    if (fd < 0 || ioctl(fd, TIOCSCTTY, 0))
        return errno;
    unsigned long request = TIOCSTI | (unsigned long)(uintptr_t)garbage;
    return syscall(SYS_ioctl, fd, request, "x") ? errno : 0;
}

static void typing(void) {
    errno = in_child(inject, NULL);
    step("TIOCSTI", errno ? -1 : 0);
    errno = in_child(inject, (void *)(uintptr_t)0x100000000UL);
    step("TIOCSTI with garbage above", errno ? -1 : 0);
    errno = in_child(inject, (void *)(uintptr_t)0xffffffff00000000UL);
    step("TIOCSTI with ones above", errno ? -1 : 0);
    int fd = terminal();
    struct termios settings;
    near("a terminal", fd);
    near("its settings", tcgetattr(fd, &settings));
}

static void line_and_console(void) {
    int fd = terminal();
    char order[2] = {2, 0};
    /* A pseudoterminal is no console: the kernel's own answer is ENOTTY. */
    reach("TIOCLINUX", ioctl(fd, TIOCLINUX, order));
    int discipline = 3;
    reach("TIOCSETD", ioctl(fd, TIOCSETD, &discipline));
    struct winsize size;
    near("window size", ioctl(fd, TIOCGWINSZ, &size));
}

static void new_mount_calls(void) {
    reach("open_tree", close_if_open(syscall(428, AT_FDCWD, "/", 1)));
    reach("move_mount", syscall(429, AT_FDCWD, "/mis-none", AT_FDCWD, "/", 0));
    reach("fsopen", close_if_open(syscall(430, "tmpfs", 0)));
    reach("fsconfig", syscall(431, -1, 6, 0, 0, 0));
    reach("fsmount", syscall(432, -1, 0, 0));
    reach("fspick", close_if_open(syscall(433, AT_FDCWD, "/", 0)));
    reach("mount_setattr", syscall(442, AT_FDCWD, "/mis-none", 0, bad(), 32));
    near("statfs", statfs("/", &(struct statfs){0}));
}

/* Filters of the agent's own: they can only tighten. */
static int own_filters(void *unused) {
    (void)unused;
    struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    near("an own filter", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    near("with TSYNC", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
    step("unshare after ALLOW", unshare(CLONE_NEWUTS));
    step("mount after ALLOW", mount("none", argument("mountpoint"), "tmpfs", 0, NULL));
    umount2(argument("mountpoint"), MNT_DETACH);
    allow[0].k = SECCOMP_RET_TRACE;
    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    print("note with RET_TRACE and no tracer\n");
    return 0;
}

static void stacked_filters(void) {
    int status = in_child(own_filters, NULL);
    /* With RET_TRACE and no tracer even exit is refused; the fault that follows ends the child. */
    near("the child ended", status >= 0 ? 0 : -1);
    struct sock_filter notify[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, notify};
    /* Where the sandbox listens itself, a second listener is refused; else it is the agent's own business. */
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    print("note a listener: %s\n", outcome(fd));
    step("chroot with a listener of our own", chroot(argument("mountpoint")));
}

static int filtered(const char *path) {
    char line[256];
    int mode = -1;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Seccomp: %d", &mode) == 1)
            break;
    if (file)
        fclose(file);
    return mode;
}

static void *thread_mode(void *result) {
    *(int *)result = filtered("/proc/thread-self/status");
    return NULL;
}

static int child_mode(void *unused) {
    return (void)unused, filtered("/proc/self/status");
}

static void every_task(void) {
    int thread_result = -1;
    pthread_t thread;
    pthread_create(&thread, NULL, thread_mode, &thread_result);
    pthread_join(thread, NULL);
    errno = EPERM;
    step("process without filter", filtered("/proc/self/status") == 2 ? -1 : 0);
    errno = EPERM;
    step("thread without filter", thread_result == 2 ? -1 : 0);
    int child = in_child(child_mode, NULL);
    errno = EPERM;
    step("child without filter", child == 2 ? -1 : 0);
    errno = EPERM;
    step("pid 1 without filter", filtered("/proc/1/status") == 2 ? -1 : 0);
    near("status", read_some("/proc/self/status"));
}

static volatile sig_atomic_t caught;
static volatile char selector; /* 0: SYSCALL_DISPATCH_FILTER_ALLOW, 1: BLOCK */

static void on_sigsys(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    caught = 1;
    /* Else the return from this very handler would be dispatched again. */
    selector = 0;
}

/* A SIGSYS handler, or user dispatch, that pretends the call worked: the call itself has still not happened. */
static void skip_the_verdict(void) {
    struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, NULL);
    long dispatch = prctl(59, 1, 0, 0, &selector);
    print("note syscall user dispatch: %s\n", outcome(dispatch));
    step("unshare", unshare(CLONE_NEWUTS));
    selector = 1;
    long result = syscall(SYS_sethostname, "attack", 6);
    selector = 0;
    prctl(59, 0, 0, 0, 0);
    /* Blocked by the dispatch itself it "succeeds" with garbage: what counts is the name. */
    char name[65] = "";
    gethostname(name, sizeof name - 1);
    (void)result;
    near("the name is unchanged", strcmp(name, "attack") ? 0 : -1);
}

static void x86_only(void) {
#ifdef __x86_64__
    step("iopl", syscall(SYS_iopl, 3));
    step("ioperm", syscall(SYS_ioperm, 0x80, 1, 1));
    reach("modify_ldt", syscall(SYS_modify_ldt, 0, bad(), 8));
    reach("arch_prctl, unknown", syscall(SYS_arch_prctl, 0x3001, bad()));
    unsigned long base;
    near("ARCH_GET_FS", syscall(SYS_arch_prctl, 0x1003, &base));
#endif
}

static void scheduling(void) {
    struct sched_param parameter = {1};
    step("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &parameter));
    step("SCHED_RR", sched_setscheduler(0, SCHED_RR, &parameter));
    step("SCHED_FIFO with reset", sched_setscheduler(0, SCHED_FIFO | 0x40000000, &parameter));
    parameter.sched_priority = 0;
    sched_setscheduler(0, SCHED_OTHER, &parameter);
    step("negative nice", setpriority(PRIO_PROCESS, 0, -10));
    step("mlockall", mlockall(MCL_CURRENT));
    step("real-time io", syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 0)));
    char attributes[48] = {48};
    *(uint32_t *)(void *)(attributes + 4) = SCHED_FIFO;
    *(uint32_t *)(void *)(attributes + 20) = 1;
    step("sched_setattr", syscall(SYS_sched_setattr, 0, attributes, 0));
    near("SCHED_BATCH", sched_setscheduler(0, SCHED_BATCH, &parameter));
    near("nicer", setpriority(PRIO_PROCESS, 0, 5));
    near("best-effort io", syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7)));
}

/* Whether a family may be asked for at all; which of them this kernel has does not matter. */
static void families(void) {
    static const struct {
        const char *name;
        int family, type, protocol;
    } kinds[] = {
        {"AF_PACKET", AF_PACKET, SOCK_RAW, 0},
        {"AF_ALG", 38, SOCK_SEQPACKET, 0},
        {"AF_VSOCK", 40, SOCK_STREAM, 0},
        {"AF_RDS", 21, SOCK_SEQPACKET, 0},
        {"AF_BLUETOOTH", 31, SOCK_RAW, 1},
        {"AF_CAN", 29, SOCK_RAW, 1},
        {"AF_TIPC", 30, SOCK_SEQPACKET, 0},
        {"AF_KEY", 15, SOCK_RAW, 2},
        {"AF_XDP", 44, SOCK_RAW, 0},
        {"AF_AX25", 3, SOCK_DGRAM, 0},
        {"AF_SMC", 43, SOCK_STREAM, 0},
        {"AF_MCTP", 45, SOCK_DGRAM, 0},
        {"NETLINK_NETFILTER", AF_NETLINK, SOCK_RAW, 12},
        {"NETLINK_XFRM", AF_NETLINK, SOCK_RAW, 6},
        {"NETLINK_AUDIT", AF_NETLINK, SOCK_RAW, 9},
        {"NETLINK_KOBJECT_UEVENT", AF_NETLINK, SOCK_RAW, 15},
        {"SCTP", AF_INET, SOCK_STREAM, 132},
        {"SCTP, default", AF_INET, SOCK_SEQPACKET, 0},
        {"DCCP", AF_INET, 6, 33},
        {"UDP-Lite", AF_INET, SOCK_DGRAM, 136},
    };
    for (size_t each = 0; each < sizeof kinds / sizeof *kinds; each++) {
        long fd = close_if_open(socket(kinds[each].family, kinds[each].type, kinds[each].protocol));
        reach(kinds[each].name, fd);
    }
    near("AF_UNIX", close_if_open(socket(AF_UNIX, SOCK_STREAM, 0)));
    near("TCP", close_if_open(socket(AF_INET, SOCK_STREAM, 0)));
    near("UDP over IPv6", close_if_open(socket(AF_INET6, SOCK_DGRAM, 0)));
    near("routes", close_if_open(socket(AF_NETLINK, SOCK_RAW, 0)));
    int pair[2];
    near("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

ATTACKS({"C093", machine_calls}, {"C094", own_memory_calls}, {"C087", absent_numbers},
#ifdef __x86_64__
        {"C088", foreign_architecture},
#endif
        {"C089", typing}, {"C091", line_and_console}, {"C092", new_mount_calls}, {"C095", stacked_filters},
        {"C096", every_task}, {"C097", skip_the_verdict}, {"C098", x86_only}, {"C099", scheduling}, {"C100", families})
