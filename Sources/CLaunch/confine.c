/*
 * The set-up child's steps that take rights away: limits, capabilities, Landlock, the system-call filter.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "setup.h"

long mis_limit(struct state *state, const struct mis_step *step) {
    struct rlimit before;
    long result = attempt(state, SYS_prlimit64, raw4(SYS_prlimit64, 0, step->number, NULL, &before));
    if (result < 0)
        return result;
    /* A limit below ours is kept: a sandbox only ever tightens. */
    struct rlimit wanted = {step->value, step->value};
    if (before.rlim_max < wanted.rlim_max)
        wanted.rlim_cur = wanted.rlim_max = before.rlim_max;
    return attempt(state, SYS_prlimit64, raw4(SYS_prlimit64, 0, step->number, &wanted, NULL));
}

long mis_drop_capabilities(struct state *state, const struct mis_step *step) {
    uint64_t kept = step->value;
    /* Up to the first the kernel does not know: whoever counted them before may have been told wrong. */
    for (uint64_t capability = 0; capability < 64; capability++) {
        if (kept >> capability & 1)
            continue;
        long result = attempt(state, SYS_prctl, raw5(SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0));
        if (result == -EINVAL && capability > CAP_CHECKPOINT_RESTORE)
            break;
        if (result < 0)
            return result;
    }
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)kept, (uint32_t)kept, (uint32_t)kept},
        {(uint32_t)(kept >> 32), (uint32_t)(kept >> 32), (uint32_t)(kept >> 32)},
    };
    raw5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* Locked secure bits: uid 0, should there ever be one, means nothing, and ids never change capabilities. */
    uint64_t bits = SECURE_ALL_BITS | SECURE_ALL_LOCKS;
    if (kept)
        bits &= ~(uint64_t)(SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED);
    bits &= ~(uint64_t)(SECBIT_KEEP_CAPS); /* cleared by execve in any case; locked off */
    long result = attempt(state, SYS_prctl, raw5(SYS_prctl, PR_SET_SECUREBITS, bits, 0, 0, 0));
    if (result < 0)
        return result;
    result = attempt(state, SYS_capset, raw2(SYS_capset, &header, data));
    for (uint64_t capability = 0; result == 0 && capability < 64; capability++)
        if (kept >> capability & 1)
            result = attempt(state, SYS_prctl, raw5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0));
    return result;
}

long mis_landlock_ruleset(struct state *state, const struct mis_step *step) {
    long fd = attempt(state, SYS_landlock_create_ruleset,
                      raw3(SYS_landlock_create_ruleset, step->data, step->data_length, 0));
    if (fd < 0)
        return fd;
    keep(state, step->slot, (int)fd);
    return 0;
}

long mis_landlock_allow(struct state *state, const struct mis_step *step) {
    int parent = open_path(state, step->place, step->path);
    if (parent < 0)
        return parent;
    struct landlock_path_beneath_attr rule = {.allowed_access = step->value, .parent_fd = parent};
    long result = attempt(state, SYS_landlock_add_rule,
                          raw4(SYS_landlock_add_rule, place(state, step->slot), LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
    raw1(SYS_close, parent);
    return result;
}

long mis_install_filter(struct state *state, const struct mis_step *step) {
    struct sock_fprog program = {(unsigned short)(step->data_length / sizeof(struct sock_filter)),
                                 (struct sock_filter *)step->data};
    unsigned long flags =
        step->flags & mis_flag_listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV : 0;
    long fd = attempt(state, SYS_seccomp, raw3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
    if (fd == -EINVAL && flags) {
        /* Before 5.19: an interrupted notification is started again, which only costs time. */
        flags &= ~(unsigned long)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        fd = attempt(state, SYS_seccomp, raw3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
    }
    if (fd < 0)
        return fd;
    if (flags)
        keep(state, step->slot, (int)fd);
    return 0;
}
