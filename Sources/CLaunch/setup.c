/*
 * The set-up child: obeys the steps, then executes the sandbox's init.
 *
 * C, and raw system calls only: it shares memory, and so libc's locks and thread-local storage, with a launcher
 * that goes on running (see raw_syscall.h). Every path is opened without following symlinks, and mounts are moved
 * from descriptor to descriptor, so that nothing a former run left in a workspace can redirect one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
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

static long new_file_system(struct state *state, const struct mis_step *step) {
    long context = attempt(state, SYS_fsopen, raw2(SYS_fsopen, step->path, FSOPEN_CLOEXEC));
    if (context < 0)
        return context;
    long result = 0;
    const char *option = step->text, *end = step->text + step->text_length;
    while (result == 0 && option < end) {
        const char *value = option;
        while (*value++)
            ;
        if (*value)
            result = attempt(state, SYS_fsconfig, raw5(SYS_fsconfig, context, FSCONFIG_SET_STRING, option, value, 0));
        else
            result = attempt(state, SYS_fsconfig, raw5(SYS_fsconfig, context, FSCONFIG_SET_FLAG, option, 0, 0));
        while (*value++)
            ;
        option = value;
    }
    if (result == 0)
        result = attempt(state, SYS_fsconfig, raw5(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0));
    if (result == 0)
        result = attempt(state, SYS_fsmount, raw3(SYS_fsmount, context, FSMOUNT_CLOEXEC, step->attributes));
    raw1(SYS_close, context);
    if (result < 0)
        return result;
    keep(state, step->slot, (int)result);
    return 0;
}

static long attach(struct state *state, int mount, int32_t slot, const char *path) {
    int target = open_path(state, slot, path);
    if (target < 0)
        return target;
    long result =
        attempt(state, SYS_move_mount,
                raw5(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
    raw1(SYS_close, target);
    return result;
}

static long set_attributes(struct state *state, int mount, const struct mis_step *step) {
    if (step->attributes == 0 && step->idmap < 0)
        return 0;
    struct mount_attr attributes = {.attr_set = step->attributes};
    if (step->idmap >= 0) {
        attributes.attr_set |= MOUNT_ATTR_IDMAP;
        attributes.userns_fd = (uint64_t)place(state, step->idmap);
    }
    unsigned flags = AT_EMPTY_PATH | (step->flags & mis_flag_recursive ? AT_RECURSIVE : 0);
    return attempt(state, SYS_mount_setattr, raw5(SYS_mount_setattr, mount, "", flags, &attributes, sizeof attributes));
}

/* A detached clone of the mount at the step's source, or -errno. */
static long clone_mount(struct state *state, const struct mis_step *step) {
    int source = open_path(state, step->source, step->source_path);
    if (source < 0)
        return source;
    long result = 0;
    if (step->flags & mis_flag_check_identity) {
        struct statx seen;
        result = attempt(state, SYS_statx, raw5(SYS_statx, source, "", AT_EMPTY_PATH, STATX_INO, &seen));
        if (result == 0 && (seen.stx_ino != step->inode || seen.stx_dev_major != step->device_major ||
                            seen.stx_dev_minor != step->device_minor))
            result = -ESTALE;
    }
    if (result == 0)
        result = attempt(state, SYS_open_tree,
                         raw3(SYS_open_tree, source, "",
                              OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
                                  (step->flags & mis_flag_recursive ? AT_RECURSIVE : 0)));
    raw1(SYS_close, source);
    return result;
}

static long bind_mount(struct state *state, const struct mis_step *step) {
    /* First, because the target of a mask is often not there. */
    int target = open_path(state, step->place, step->path);
    if (target < 0)
        return target;
    long tree = clone_mount(state, step);
    if (tree < 0) {
        raw1(SYS_close, target);
        return tree;
    }
    long result = set_attributes(state, (int)tree, step);
    if (result == 0)
        result = attempt(state, SYS_move_mount,
                         raw5(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
    raw1(SYS_close, target);
    raw1(SYS_close, tree);
    return result;
}

/* Masks are many and all alike: the first is made and given its attributes, the others are clones of it. */
static long cover(struct state *state, const struct mis_step *step) {
    int target = open_path(state, step->place, step->path);
    if (target < 0)
        return target;
    int model = place(state, step->slot);
    long tree = model >= 0
                    ? attempt(state, SYS_open_tree,
                              raw3(SYS_open_tree, model, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH))
                    : clone_mount(state, step);
    long result = tree < 0 ? tree : 0;
    if (result == 0 && model < 0)
        result = set_attributes(state, (int)tree, step);
    if (result == 0)
        result = attempt(state, SYS_move_mount,
                         raw5(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
    raw1(SYS_close, target);
    if (result == 0 && model < 0)
        keep(state, step->slot, (int)tree);
    else if (tree >= 0)
        raw1(SYS_close, tree);
    return result;
}

static long make_file(struct state *state, const struct mis_step *step) {
    long fd = attempt(state, SYS_openat,
                      raw4(SYS_openat, place(state, step->place), step->path,
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, step->number));
    if (fd == -EEXIST)
        return 0;
    if (fd < 0)
        return fd;
    long result = 0;
    if (step->text_length) {
        result = attempt(state, SYS_write, raw3(SYS_write, fd, step->text, step->text_length));
        if (result >= 0)
            result = (size_t)result == step->text_length ? 0 : -ENOSPC;
    }
    raw1(SYS_close, fd);
    return result;
}

static long pivot(struct state *state, const struct mis_step *step) {
    long result = attempt(state, SYS_fchdir, raw1(SYS_fchdir, place(state, step->slot)));
    /* The old root ends up stacked on the new one, at ".", and is taken away from there. */
    if (result == 0)
        result = attempt(state, SYS_pivot_root, raw2(SYS_pivot_root, ".", "."));
    if (result == 0)
        result = attempt(state, SYS_umount2, raw2(SYS_umount2, ".", 2 /* MNT_DETACH */));
    if (result == 0)
        result = attempt(state, SYS_chdir, raw1(SYS_chdir, "/"));
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

static long send_descriptor(struct state *state, const struct mis_step *step) {
    struct mis_sent_descriptor body = {(uint32_t)step->number};
    struct iovec part = {&body, sizeof body};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = (struct cmsghdr *)(void *)control.bytes;
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    *(int *)(void *)CMSG_DATA(header) = place(state, step->slot);
    long sent = attempt(state, SYS_sendmsg, raw3(SYS_sendmsg, state->setup->descriptor_socket, &message, MSG_NOSIGNAL));
    return sent < 0 ? sent : 0;
}

static long receive_descriptor(struct state *state, const struct mis_step *step) {
    struct mis_sent_descriptor body;
    struct iovec part = {&body, sizeof body};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    long size = attempt(state, SYS_recvmsg,
                        raw3(SYS_recvmsg, state->setup->descriptor_socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
    if (size < 0)
        return size;
    struct cmsghdr *header = (struct cmsghdr *)(void *)control.bytes;
    if (message.msg_controllen < CMSG_LEN(sizeof(int)) || header->cmsg_type != SCM_RIGHTS)
        return -ENOMSG;
    keep(state, (int32_t)step->number, *(int *)(void *)CMSG_DATA(header));
    return 0;
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

static int resolve_descriptor(const struct state *state, int32_t number) {
    return number < 0 ? place(state, ~number) : number;
}

enum { execution_target_count = mis_fd_terminal + 1 };

/* The numbers that the init's descriptors have now, by those they get; -1 for none. Its image is last. */
static void execution_sources(const struct state *state, const struct mis_execution *execution, int *sources) {
    const int32_t wanted[] = {execution->stdio[0], execution->stdio[1], execution->stdio[2], execution->reasoning,
                              execution->status,   execution->terminal, execution->image};
    for (int target = 0; target <= execution_target_count; target++)
        sources[target] = wanted[target] == INT32_MIN ? -1 : resolve_descriptor(state, wanted[target]);
}

/* Closes everything but these. The launcher's descriptors, of which tier bpf has hundreds, would else leave no number
 * free below a small limit on open files. */
static long close_all_but(struct state *state, const int *kept, int count) {
    unsigned from = 0;
    for (;;) {
        unsigned next = ~0u;
        for (int i = 0; i < count; i++)
            if (kept[i] >= 0 && (unsigned)kept[i] >= from && (unsigned)kept[i] < next)
                next = (unsigned)kept[i];
        if (next > from) {
            long result =
                attempt(state, SYS_close_range, raw3(SYS_close_range, from, next == ~0u ? next : next - 1, 0));
            if (result < 0)
                return result;
        }
        if (next == ~0u)
            return 0;
        from = next + 1;
    }
}

static long close_others(struct state *state, const struct mis_step *step) {
    int kept[execution_target_count + 1];
    execution_sources(state, step->data, kept);
    return close_all_but(state, kept, execution_target_count + 1);
}

static long execute(struct state *state, const struct mis_step *step) {
    const struct mis_execution *execution = step->data;
    enum { count = execution_target_count, image_target = count };
    int sources[count + 1];
    execution_sources(state, execution, sources);
    /* Two passes: a source may have the number of another's target. */
    int lifted[count + 1];
    for (int target = 0; target <= count; target++) {
        lifted[target] = -1;
        if (sources[target] < 0)
            continue;
        long fd = attempt(state, SYS_fcntl, raw3(SYS_fcntl, sources[target], F_DUPFD_CLOEXEC, count + 1));
        if (fd < 0)
            return fd;
        lifted[target] = (int)fd;
    }
    for (int target = 0; target <= count; target++) {
        long result = lifted[target] < 0
                          ? (raw1(SYS_close, target), 0)
                          : attempt(state, SYS_dup3,
                                    raw3(SYS_dup3, lifted[target], target, target == image_target ? O_CLOEXEC : 0));
        if (result < 0)
            return result;
    }
    long result = attempt(state, SYS_close_range, raw3(SYS_close_range, count + 1, ~0u, 0));
    if (result < 0)
        return result;
    return attempt(state, SYS_execveat,
                   raw5(SYS_execveat, image_target, "", execution->arguments, execution->environment, AT_EMPTY_PATH));
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
        return new_file_system(state, step);
    case mis_step_attach:
        return attach(state, place(state, step->slot), step->place, step->path);
    case mis_step_bind:
        return bind_mount(state, step);
    case mis_step_directory: {
        long result =
            attempt(state, SYS_mkdirat, raw3(SYS_mkdirat, place(state, step->place), step->path, step->number));
        return result == -EEXIST ? 0 : result;
    }
    case mis_step_file:
        return make_file(state, step);
    case mis_step_symlink: {
        long result =
            attempt(state, SYS_symlinkat, raw3(SYS_symlinkat, step->text, place(state, step->place), step->path));
        return result == -EEXIST ? 0 : result;
    }
    case mis_step_mount_attributes: {
        int target = open_path(state, step->place, step->path);
        if (target < 0)
            return target;
        long result = set_attributes(state, target, step);
        raw1(SYS_close, target);
        return result;
    }
    case mis_step_pivot:
        return pivot(state, step);
    case mis_step_receive:
        return receive_descriptor(state, step);
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
        return send_descriptor(state, step);
    case mis_step_terminal:
        return open_terminal(state, step);
    case mis_step_change_directory:
        return attempt(state, SYS_chdir, raw1(SYS_chdir, step->path));
    case mis_step_mark: {
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
        long result = attempt(state, SYS_fanotify_mark,
                              raw5(SYS_fanotify_mark, step->fd, step->number, step->value, AT_FDCWD, name));
        raw1(SYS_close, target);
        return result;
    }
    case mis_step_clone_mount: {
        long tree = clone_mount(state, step);
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
        return execute(state, step);
    case mis_step_close_others:
        return close_others(state, step);
    case mis_step_cover:
        return cover(state, step);
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
