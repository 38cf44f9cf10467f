#ifndef MIS_SETUP_H
#define MIS_SETUP_H

/* What the parts of the set-up child share. See setup.c. */

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "claunch.h"
#include "raw_syscall.h"

struct state {
    struct mis_setup *setup;
    int slots[mis_slot_count];
    int call; /* the last system call made, for the report */
};

#define attempt(state, number, result) ((state)->call = (int)(number), (result))

static inline int place(const struct state *state, int32_t slot) {
    return slot >= 0 && slot < mis_slot_count ? state->slots[slot] : AT_FDCWD;
}

static inline void keep(struct state *state, int32_t slot, int fd) {
    if (slot >= 0 && slot < mis_slot_count)
        state->slots[slot] = fd;
    else
        raw1(SYS_close, fd);
}

/* Opens `path` as an O_PATH descriptor; no symlink is followed, whatever is on the way. */
static inline int open_path(struct state *state, int32_t slot, const char *path) {
    int directory = place(state, slot);
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    if (slot >= 0)
        how.resolve |= RESOLVE_BENEATH;
    return (int)attempt(state, SYS_openat2, raw4(SYS_openat2, directory, *path ? path : ".", &how, sizeof how));
}

/* All of these: 0, or -errno. */

/* mounts.c */
long mis_new_file_system(struct state *state, const struct mis_step *step);
long mis_attach(struct state *state, int tree, const struct mis_step *step);
long mis_mount_attributes(struct state *state, const struct mis_step *step);
/* A detached clone of the mount at the step's source: its descriptor, or -errno. */
long mis_clone_mount(struct state *state, const struct mis_step *step);
long mis_bind_mount(struct state *state, const struct mis_step *step);
long mis_mount_here(struct state *state, const struct mis_step *step);
long mis_bind_here(struct state *state, const struct mis_step *step);
long mis_pivot(struct state *state);

/* descriptors.c */
long mis_send_descriptor(struct state *state, const struct mis_step *step);
long mis_receive_descriptor(struct state *state, const struct mis_step *step);
long mis_close_others(struct state *state, const struct mis_step *step);
long mis_execute(struct state *state, const struct mis_step *step);

/* confine.c */
long mis_limit(struct state *state, const struct mis_step *step);
long mis_drop_capabilities(struct state *state, const struct mis_step *step);
long mis_landlock_ruleset(struct state *state, const struct mis_step *step);
long mis_landlock_allow(struct state *state, const struct mis_step *step);
long mis_install_filter(struct state *state, const struct mis_step *step);

#endif
