/*
 * The set-up child: obeys the steps, then executes the sandbox's init.
 *
 * C, and raw system calls only: it shares memory, and so libc's locks and thread-local storage, with a launcher
 * that goes on running (see raw_syscall.h). Every path is opened without following symlinks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fanotify.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "clone.h"
#include "setup.h"

static long write_file(struct state *state, const struct mis_step *step) {
    /* /proc/self is a symlink, so links are followed; that the file is procfs's own is checked instead. */
    long fd = attempt(state, SYS_openat,
                      raw4(SYS_openat, place(state, step->place), step->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0));
    if (fd < 0)
        return fd;
    struct statfs system;
    long known = attempt(state, SYS_fstatfs, raw2(SYS_fstatfs, fd, &system));
    if (known < 0 || system.f_type != PROC_SUPER_MAGIC) {
        raw1(SYS_close, fd);
        return known < 0 ? known : -EXDEV;
    }
    long written = attempt(state, SYS_write, raw3(SYS_write, fd, step->text, step->text_length));
    raw1(SYS_close, fd);
    if (written >= 0 && (size_t)written != step->text_length)
        return -EIO;
    return written < 0 ? written : 0;
}

/* "0" is this task: moving oneself alone needs no lock over all of the machine's forks. */
static long join_cgroup(struct state *state, const struct mis_step *step) {
    /* The way to a hierarchy may be a symlink (cpu -> cpu,cpuacct); what came of it is checked. */
    long fd = attempt(state, SYS_openat, raw4(SYS_openat, AT_FDCWD, step->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0));
    if (fd < 0)
        return fd;
    struct statfs system;
    long result = attempt(state, SYS_fstatfs, raw2(SYS_fstatfs, fd, &system));
    if (result == 0 && system.f_type != CGROUP_SUPER_MAGIC)
        result = -EXDEV;
    if (result == 0)
        result = attempt(state, SYS_write, raw3(SYS_write, fd, "0", 1));
    raw1(SYS_close, fd);
    return result < 0 ? result : 0;
}

/* Namespaces are behind magic links, which have to be followed; what came of it is checked instead. */
static long open_namespace(struct state *state, const struct mis_step *step) {
    long fd = attempt(state, SYS_openat, raw4(SYS_openat, AT_FDCWD, step->path, O_RDONLY | O_CLOEXEC, 0));
    if (fd < 0)
        return fd;
    struct statfs system;
    long known = attempt(state, SYS_fstatfs, raw2(SYS_fstatfs, fd, &system));
    if (known < 0 || system.f_type != NSFS_MAGIC) {
        raw1(SYS_close, fd);
        return known < 0 ? known : -EXDEV;
    }
    keep(state, step->slot, (int)fd);
    return 0;
}

static long make_file(struct state *state, const struct mis_step *step) {
    if (!step->text_length) {
        long result = attempt(state, SYS_mknodat,
                              raw4(SYS_mknodat, place(state, step->place), step->path, S_IFREG | step->number, 0));
        return result == -EEXIST ? 0 : result;
    }
    long fd = attempt(state, SYS_openat,
                      raw4(SYS_openat, place(state, step->place), step->path,
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, step->number));
    if (fd == -EEXIST)
        return 0;
    if (fd < 0)
        return fd;
    long result = attempt(state, SYS_write, raw3(SYS_write, fd, step->text, step->text_length));
    if (result >= 0)
        result = (size_t)result == step->text_length ? 0 : -ENOSPC;
    raw1(SYS_close, fd);
    return result;
}

static long loopback_up(struct state *state) {
    long fd = attempt(state, SYS_socket, raw3(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (fd < 0)
        return fd;
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    long result = attempt(state, SYS_ioctl, raw3(SYS_ioctl, fd, SIOCSIFFLAGS, &request));
    raw1(SYS_close, fd);
    return result;
}

static long open_terminal(struct state *state, const struct mis_step *step) {
    /* From the sandbox's own devpts, by descriptor: what its /dev/pts shows is what its terminal is. */
    long controller = attempt(
        state, SYS_openat, raw4(SYS_openat, place(state, step->place), step->path, O_RDWR | O_NOCTTY | O_CLOEXEC, 0));
    if (controller < 0)
        return controller;
    int unlocked = 0;
    long result = attempt(state, SYS_ioctl, raw3(SYS_ioctl, controller, TIOCSPTLCK, &unlocked));
    if (result == 0)
        result = attempt(state, SYS_ioctl, raw3(SYS_ioctl, controller, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (result < 0)
        return result;
    keep(state, step->slot, (int)controller);
    keep(state, step->slot + 1, (int)result);
    return 0;
}

/* Waits for the launcher to set the futex to `wanted` or more. When launcher and guardian were both gone before this
 * process was bound to them, nobody ever will: the socket tells. */
static long wait_for(struct state *state, int32_t *futex, int32_t wanted) {
    static const struct { long seconds, nanoseconds; } a_while = {0, 200000000}, at_once = {0, 0};
    int32_t now;
    while ((now = __atomic_load_n(futex, __ATOMIC_ACQUIRE)) != mis_gate_abandoned && now < wanted) {
        long result = attempt(state, SYS_futex, raw4(SYS_futex, futex, FUTEX_WAIT, now, &a_while));
        struct pollfd peer = {.fd = state->setup->descriptor_socket};
        if (result == -ETIMEDOUT && raw5(SYS_ppoll, &peer, 1, &at_once, NULL, 0) > 0)
            return -EPIPE;
    }
    return now == mis_gate_abandoned ? -ECANCELED : 0;
}

static long wait_for_launcher(struct state *state) {
    struct mis_init_message message = {mis_init_prepared, 0};
    long sent =
        attempt(state, SYS_sendto,
                raw6(SYS_sendto, state->setup->descriptor_socket, (long)&message, sizeof message, MSG_NOSIGNAL, 0, 0));
    return sent < 0 ? sent : wait_for(state, &state->setup->gate, mis_gate_open);
}

static long mark(struct state *state, const struct mis_step *step) {
    if (step->flags & mis_flag_sure_place)
        return attempt(state, SYS_fanotify_mark,
                       raw5(SYS_fanotify_mark, step->fd, step->number | FAN_MARK_DONT_FOLLOW, step->value,
                            place(state, step->place), step->path));
    int target = open_path(state, step->place, step->path);
    if (target < 0)
        return target;
    /* The kernel wants a path, and refuses O_PATH descriptors by themselves: name the descriptor. */
    char name[32] = "/proc/self/fd/";
    int at = 14, digits = 1;
    for (int rest = target; rest >= 10; rest /= 10)
        digits++;
    for (int i = digits - 1, rest = target; i >= 0; i--, rest /= 10)
        name[at + i] = (char)('0' + rest % 10);
    name[at + digits] = 0;
    long result =
        attempt(state, SYS_fanotify_mark, raw5(SYS_fanotify_mark, step->fd, step->number, step->value, AT_FDCWD, name));
    raw1(SYS_close, target);
    return result;
}

static long obey(struct state *state, const struct mis_step *step) {
    switch (step->kind) {
    case mis_step_join_cgroup:
        return join_cgroup(state, step);
    case mis_step_unshare:
        return attempt(state, SYS_unshare, raw1(SYS_unshare, step->number));
    case mis_step_die_with_parent:
        return attempt(state, SYS_prctl, raw5(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
    case mis_step_write_file:
        return write_file(state, step);
    case mis_step_private_mounts: {
        struct mount_attr attributes = {.propagation = 1 << 18 /* MS_PRIVATE */};
        return attempt(state, SYS_mount_setattr,
                       raw5(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof attributes));
    }
    case mis_step_new_file_system:
        return mis_new_file_system(state, step);
    case mis_step_attach:
        return mis_attach(state, place(state, step->slot), step);
    case mis_step_bind:
        return mis_bind_mount(state, step);
    case mis_step_directory: {
        long result =
            attempt(state, SYS_mkdirat, raw3(SYS_mkdirat, place(state, step->place), step->path, step->number));
        return result == -EEXIST || step->flags & mis_flag_ahead ? 0 : result;
    }
    case mis_step_file:
        return make_file(state, step);
    case mis_step_symlink: {
        long result =
            attempt(state, SYS_symlinkat, raw3(SYS_symlinkat, step->text, place(state, step->place), step->path));
        return result == -EEXIST ? 0 : result;
    }
    case mis_step_mount_attributes:
        return mis_mount_attributes(state, step);
    case mis_step_pivot:
        return mis_pivot(state);
    case mis_step_receive:
        return mis_receive_descriptor(state, step);
    case mis_step_hostname:
        return attempt(state, SYS_sethostname, raw2(SYS_sethostname, step->text, step->text_length));
    case mis_step_loopback:
        return loopback_up(state);
    case mis_step_limit:
        return mis_limit(state, step);
    case mis_step_clear_groups:
        return attempt(state, SYS_setgroups, raw2(SYS_setgroups, 0, NULL));
    case mis_step_group:
        return attempt(state, SYS_setresgid, raw3(SYS_setresgid, step->number, step->number, step->number));
    case mis_step_user:
        return attempt(state, SYS_setresuid, raw3(SYS_setresuid, step->number, step->number, step->number));
    case mis_step_secure_bits:
        return attempt(state, SYS_prctl, raw5(SYS_prctl, PR_SET_SECUREBITS, step->number, 0, 0, 0));
    case mis_step_dumpable:
        return attempt(state, SYS_prctl, raw5(SYS_prctl, PR_SET_DUMPABLE, step->number, 0, 0, 0));
    case mis_step_keyring: {
        long serial = attempt(state, SYS_keyctl, raw2(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
        return serial < 0 && serial != -ENOSYS ? serial : 0;
    }
    case mis_step_capabilities:
        return mis_drop_capabilities(state, step);
    case mis_step_no_new_privileges:
        return attempt(state, SYS_prctl, raw5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    case mis_step_landlock_ruleset:
        return mis_landlock_ruleset(state, step);
    case mis_step_landlock_allow:
        return mis_landlock_allow(state, step);
    case mis_step_landlock_restrict:
        return attempt(state, SYS_landlock_restrict_self,
                       raw2(SYS_landlock_restrict_self, place(state, step->slot), 0));
    case mis_step_seccomp:
        return mis_install_filter(state, step);
    case mis_step_send:
        return mis_send_descriptor(state, step);
    case mis_step_terminal:
        return open_terminal(state, step);
    case mis_step_change_directory:
        return attempt(state, SYS_chdir, raw1(SYS_chdir, step->path));
    case mis_step_mark:
        return mark(state, step);
    case mis_step_clone_mount: {
        long tree = mis_clone_mount(state, step);
        if (tree < 0)
            return tree;
        keep(state, step->slot, (int)tree);
        return 0;
    }
    case mis_step_close:
        raw1(SYS_close, place(state, step->slot));
        keep(state, step->slot, -1);
        return 0;
    case mis_step_owner:
        return attempt(
            state, SYS_fchownat,
            raw5(SYS_fchownat, place(state, step->place), step->path, step->number, step->value, AT_SYMLINK_NOFOLLOW));
    case mis_step_mask:
        raw1(SYS_umask, step->number);
        return 0;
    case mis_step_node:
        return attempt(state, SYS_mknodat,
                       raw4(SYS_mknodat, place(state, step->place), step->path, step->number, step->value));
    case mis_step_wait:
        return wait_for_launcher(state);
    case mis_step_open: {
        int fd = open_path(state, step->place, step->path);
        if (fd < 0)
            return fd;
        keep(state, step->slot, fd);
        return 0;
    }
    case mis_step_execute:
        return mis_execute(state, step);
    case mis_step_close_others:
        return mis_close_others(state, step);
    case mis_step_mount_here:
        return mis_mount_here(state, step);
    case mis_step_bind_here:
        return mis_bind_here(state, step);
    case mis_step_enter:
        return attempt(state, SYS_fchdir, raw1(SYS_fchdir, place(state, step->slot)));
    case mis_step_open_namespace:
        return open_namespace(state, step);
    }
    return -EINVAL;
}

/* Obeys a list. False: a step failed, and was reported by its number, counted from `before`. */
static int obey_all(struct state *state, const struct mis_step_list *list, size_t before) {
    struct mis_setup *setup = state->setup;
    for (size_t i = 0; i < list->count; i++) {
        const struct mis_step *step = list->steps + i;
        long result = obey(state, step);
        if (result >= 0 || (result == -ENOENT && step->flags & mis_flag_may_be_absent))
            continue;
        setup->report.error = (int32_t)-result;
        setup->report.call = state->call;
        __atomic_store_n(&setup->report.step, (int32_t)(before + i), __ATOMIC_RELEASE);
        return 0;
    }
    return 1;
}

static void run(void *argument) {
    struct mis_setup *setup = argument;
    struct state state = {.setup = setup};
    for (int i = 0; i < mis_slot_count; i++)
        state.slots[i] = -1;
    /* With its own copy of the launcher's end the socket could never tell that the launcher is gone: see wait_for(). */
    raw1(SYS_close, setup->launcher_socket);
    size_t before = 0;
    for (int i = 0; i < mis_list_count; i++) {
        if (wait_for(&state, &setup->given, i + 1) < 0 || !obey_all(&state, &setup->lists[i], before))
            break;
        before += setup->lists[i].count;
    }
    for (;;)
        raw1(SYS_exit, 125);
}

int mis_clone_setup(struct mis_setup *setup, uint64_t namespaces, int cgroup, void *stack, size_t stack_size,
                    struct mis_guard *guard_data) {
    setup->report.step = -1;
    /* The kernel writes the pidfd down before the child runs: there is no moment when it lives and the guardian does
     * not know it. */
    int pid =
        (int)mis_clone_sharing_memory(namespaces, cgroup, stack, stack_size, run, setup, SIGCHLD, &guard_data->agent);
    if (pid < 0)
        __atomic_store_n(&guard_data->agent, -1, __ATOMIC_RELEASE);
    return pid;
}

static void set_futex(int32_t *futex, int32_t state) {
    __atomic_store_n(futex, state, __ATOMIC_RELEASE);
    raw3(SYS_futex, futex, FUTEX_WAKE, 1);
}

int mis_give(struct mis_setup *setup, struct mis_step_list list) {
    if (setup->given < 0 || setup->given >= mis_list_count)
        return 0;
    setup->lists[setup->given] = list;
    set_futex(&setup->given, setup->given + 1);
    return 1;
}

void mis_open_gate(struct mis_setup *setup) {
    set_futex(&setup->gate, mis_gate_open);
}

void mis_abandon(struct mis_setup *setup) {
    set_futex(&setup->given, mis_gate_abandoned);
    set_futex(&setup->gate, mis_gate_abandoned);
}

static void hold(void *launcher) {
    raw5(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    /* The guardian does not know this one: a launcher that was gone before is asked for. */
    while (raw0(SYS_getppid) == (long)launcher)
        raw0(SYS_pause);
    for (;;)
        raw1(SYS_exit, 0);
}

int mis_clone_namespace_holder(void *stack, size_t stack_size, int *pidfd) {
    return (int)mis_clone_sharing_memory(CLONE_NEWUSER, -1, stack, stack_size, hold, (void *)raw0(SYS_getpid), SIGCHLD,
                                         pidfd);
}
