/* The confinement of mis-feed. Its order: Landlock and the filter last, because what comes before them needs system
 * calls. */
#define _GNU_SOURCE
#include "cfeed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t feed_fork(void) {
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* It may have died before that line. */
        if (getppid() != parent)
            _exit(1);
    }
    return child;
}

/* Newer than the headers of Debian 12: the network's rights (ABI 4) and scopes (ABI 6). */
struct ruleset {
    uint64_t files, network, scopes;
};
enum { right_truncate = 1 << 14, right_bind_tcp = 1 << 0, scope_abstract_sockets = 1 << 0, scope_signals = 1 << 1 };

static const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t writing =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | right_truncate;
/* Every right of ABI 1. */
static const uint64_t rights_of_first = (1 << 13) - 1;

static int allow(int ruleset, const struct feed_path *path, uint64_t handled) {
    int object = open(path->path, O_PATH | O_CLOEXEC);
    if (object < 0)
        return errno == ENOENT ? 0 : -1;
    struct stat status;
    if (fstat(object, &status) < 0) {
        close(object);
        return -1;
    }
    uint64_t rights = path->access == feed_access_write ? reading | writing : reading;
    if (!S_ISDIR(status.st_mode))
        rights &=
            ~(uint64_t)(LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE);
    struct landlock_path_beneath_attr rule = {.allowed_access = rights & handled, .parent_fd = object};
    int result = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    int error = errno;
    close(object);
    errno = error;
    return result;
}

static int restrict_files(const struct feed_path *paths, size_t count) {
    int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return 0;
    int done = feed_confined_landlock;
    struct ruleset rules = {.files = rights_of_first};
    if (version >= 2)
        rules.files |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        rules.files |= right_truncate;
    size_t size = sizeof rules.files;
    if (version >= 4) {
        rules.network = right_bind_tcp;
        size = sizeof rules.files + sizeof rules.network;
        done |= feed_confined_network;
    }
    if (version >= 6) {
        rules.scopes = scope_abstract_sockets | scope_signals;
        size = sizeof rules;
        done |= feed_confined_scopes;
    }
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (ruleset < 0)
        return -1;
    for (size_t index = 0; index < count; index++)
        if (allow(ruleset, &paths[index], rules.files) < 0)
            return -1;
    int result = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    int error = errno;
    close(ruleset);
    errno = error;
    return result < 0 ? -1 : done;
}

static int restrict_calls(void) {
    /* What runs here is three libraries of others in many versions: a list of what they may not do holds, a list of
     * what they may would break with the next version. */
    static const int denied[] = {
        SCMP_SYS(execve),
        SCMP_SYS(execveat),
        SCMP_SYS(fork),
        SCMP_SYS(vfork),
        SCMP_SYS(ptrace),
        SCMP_SYS(process_vm_readv),
        SCMP_SYS(process_vm_writev),
        SCMP_SYS(process_madvise),
        SCMP_SYS(kcmp),
        SCMP_SYS(pidfd_getfd),
        SCMP_SYS(mount),
        SCMP_SYS(umount2),
        SCMP_SYS(pivot_root),
        SCMP_SYS(chroot),
        SCMP_SYS(open_tree),
        SCMP_SYS(move_mount),
        SCMP_SYS(fsopen),
        SCMP_SYS(fsmount),
        SCMP_SYS(fsconfig),
        SCMP_SYS(fspick),
        SCMP_SYS(mount_setattr),
        SCMP_SYS(setns),
        SCMP_SYS(unshare),
        SCMP_SYS(bpf),
        SCMP_SYS(perf_event_open),
        SCMP_SYS(userfaultfd),
        SCMP_SYS(io_uring_setup),
        SCMP_SYS(io_uring_enter),
        SCMP_SYS(io_uring_register),
        SCMP_SYS(keyctl),
        SCMP_SYS(add_key),
        SCMP_SYS(request_key),
        SCMP_SYS(init_module),
        SCMP_SYS(finit_module),
        SCMP_SYS(delete_module),
        SCMP_SYS(kexec_load),
        SCMP_SYS(kexec_file_load),
        SCMP_SYS(reboot),
        SCMP_SYS(swapon),
        SCMP_SYS(swapoff),
        SCMP_SYS(acct),
        SCMP_SYS(quotactl),
        SCMP_SYS(settimeofday),
        SCMP_SYS(clock_settime),
        SCMP_SYS(clock_adjtime),
        SCMP_SYS(adjtimex),
        SCMP_SYS(sethostname),
        SCMP_SYS(setdomainname),
        SCMP_SYS(ioperm),
        SCMP_SYS(iopl),
        SCMP_SYS(listen),
        SCMP_SYS(accept),
        SCMP_SYS(accept4),
        SCMP_SYS(personality),
        SCMP_SYS(mknod),
        SCMP_SYS(mknodat),
        SCMP_SYS(fanotify_init),
        SCMP_SYS(name_to_handle_at),
        SCMP_SYS(open_by_handle_at),
        /* Not files' contents, so Landlock does not ask. */
        SCMP_SYS(chmod),
        SCMP_SYS(fchmod),
        SCMP_SYS(fchmodat),
        SCMP_SYS(chown),
        SCMP_SYS(fchown),
        SCMP_SYS(lchown),
        SCMP_SYS(fchownat),
        SCMP_SYS(setxattr),
        SCMP_SYS(lsetxattr),
        SCMP_SYS(fsetxattr),
        SCMP_SYS(utimensat),
        SCMP_SYS(kill),
        SCMP_SYS(tkill),
    };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter) {
        errno = ENOMEM;
        return -1;
    }
    int result = 0;
    for (size_t index = 0; !result && index < sizeof denied / sizeof *denied; index++)
        /* Those that a machine does not have answer with a pseudo number, which has no rule to make. */
        if (denied[index] >= 0)
            result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied[index], 0);
    /* Threads, yes; processes, no. clone3's flags cannot be seen: without it libc takes clone. */
    if (!result)
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (!result)
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (!result)
        result = seccomp_load(filter);
    seccomp_release(filter);
    if (result)
        errno = -result;
    return result ? -1 : 0;
}

static int drop_capabilities(void) {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* Refused without CAP_SETPCAP, and then no_new_privs keeps the bounding set from mattering. */
    for (int capability = 0; capability < 64; capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    return (int)syscall(SYS_capset, &header, none);
}

int feed_confine(const struct feed_path *paths, size_t count, uint64_t memory, const char **step) {
    struct rlimit core = {0, 0}, space = {memory, memory};
    *step = "limiting memory";
    if (setrlimit(RLIMIT_CORE, &core) < 0 || setrlimit(RLIMIT_AS, &space) < 0)
        return -1;
    *step = "giving up capabilities";
    if (drop_capabilities() < 0)
        return -1;
    *step = "giving up new privileges";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    *step = "restricting files with Landlock";
    int done = restrict_files(paths, count);
    if (done < 0)
        return -1;
    *step = "restricting system calls with seccomp";
    return restrict_calls() < 0 ? -1 : done;
}
