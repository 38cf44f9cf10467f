/*
 * The set-up child's mounts: made and moved from descriptor to descriptor by the new mount API, so that no symlink a
 * former run left in a workspace can redirect one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "setup.h"

long mis_new_file_system(struct state *state, const struct mis_step *step) {
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

long mis_attach(struct state *state, int mount, int32_t slot, const char *path) {
    int target = open_path(state, slot, path);
    if (target < 0)
        return target;
    long result =
        attempt(state, SYS_move_mount,
                raw5(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
    raw1(SYS_close, target);
    return result;
}

long mis_set_attributes(struct state *state, int mount, const struct mis_step *step) {
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
long mis_clone_mount(struct state *state, const struct mis_step *step) {
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

long mis_bind_mount(struct state *state, const struct mis_step *step) {
    /* First, because the target of a mask is often not there. */
    int target = open_path(state, step->place, step->path);
    if (target < 0)
        return target;
    long tree = mis_clone_mount(state, step);
    if (tree < 0) {
        raw1(SYS_close, target);
        return tree;
    }
    long result = mis_set_attributes(state, (int)tree, step);
    if (result == 0)
        result = attempt(state, SYS_move_mount,
                         raw5(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
    raw1(SYS_close, target);
    raw1(SYS_close, tree);
    return result;
}

/* Masks are many and all alike: the first is made and given its attributes, the others are clones of it. */
long mis_cover(struct state *state, const struct mis_step *step) {
    int target = open_path(state, step->place, step->path);
    if (target < 0)
        return target;
    int model = place(state, step->slot);
    long tree = model >= 0
                    ? attempt(state, SYS_open_tree,
                              raw3(SYS_open_tree, model, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH))
                    : mis_clone_mount(state, step);
    long result = tree < 0 ? tree : 0;
    if (result == 0 && model < 0)
        result = mis_set_attributes(state, (int)tree, step);
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

long mis_pivot(struct state *state, const struct mis_step *step) {
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
