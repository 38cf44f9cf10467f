/*
 * The set-up child's mounts. Wherever anybody else has been they are made and moved from descriptor to descriptor by
 * the new mount API, so that no symlink a former run left in a workspace can redirect one.
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

/* Finds the target by its name where that is sure, which costs one call, not three: see mis_flag_sure_place. */
long mis_attach(struct state *state, int tree, const struct mis_step *step) {
    if (step->flags & mis_flag_sure_place)
        return attempt(state, SYS_move_mount,
                       raw5(SYS_move_mount, tree, "", place(state, step->place), step->path, MOVE_MOUNT_F_EMPTY_PATH));
    int target = open_path(state, step->place, step->path);
    if (target < 0)
        return target;
    long result =
        attempt(state, SYS_move_mount,
                raw5(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
    raw1(SYS_close, target);
    return result;
}

/* Of the mount at `path` of `folder`, or with "" of the one that `folder` is of. */
static long set_attributes(struct state *state, int folder, const char *path, const struct mis_step *step) {
    if (step->attributes == 0 && step->idmap < 0)
        return 0;
    struct mount_attr attributes = {.attr_set = step->attributes};
    if (step->idmap >= 0) {
        attributes.attr_set |= MOUNT_ATTR_IDMAP;
        attributes.userns_fd = (uint64_t)place(state, step->idmap);
    }
    unsigned flags =
        (*path ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) | (step->flags & mis_flag_recursive ? AT_RECURSIVE : 0);
    return attempt(state, SYS_mount_setattr,
                   raw5(SYS_mount_setattr, folder, path, flags, &attributes, sizeof attributes));
}

long mis_mount_attributes(struct state *state, const struct mis_step *step) {
    if (step->flags & mis_flag_sure_place)
        return set_attributes(state, place(state, step->place), step->path, step);
    int target = open_path(state, step->place, step->path);
    if (target < 0)
        return target;
    long result = set_attributes(state, target, "", step);
    raw1(SYS_close, target);
    return result;
}

/* 0, or -ESTALE when that is another object than the plan saw. */
static long check_identity(struct state *state, int folder, const char *path, const struct mis_step *step) {
    if (!(step->flags & mis_flag_check_identity))
        return 0;
    struct statx seen;
    unsigned flags = *path ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;
    long result = attempt(state, SYS_statx, raw5(SYS_statx, folder, path, flags, STATX_INO, &seen));
    if (result == 0 && (seen.stx_ino != step->inode || seen.stx_dev_major != step->device_major ||
                        seen.stx_dev_minor != step->device_minor))
        result = -ESTALE;
    return result;
}

static long clone_tree(struct state *state, int folder, const char *path, const struct mis_step *step) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (step->flags & mis_flag_recursive ? AT_RECURSIVE : 0);
    flags |= *path ? AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT : AT_EMPTY_PATH;
    return attempt(state, SYS_open_tree, raw3(SYS_open_tree, folder, path, flags));
}

static long clone_of_sure_source(struct state *state, const struct mis_step *step) {
    long tree = clone_tree(state, place(state, step->source), step->source_path, step);
    if (tree < 0)
        return tree;
    long result = check_identity(state, (int)tree, "", step);
    if (result == 0)
        return tree;
    raw1(SYS_close, tree);
    return result;
}

/* Elsewhere the object alone would not do: by a symlink it could be reached through another mount, with more to see. */
long mis_clone_mount(struct state *state, const struct mis_step *step) {
    if (step->flags & mis_flag_sure_source)
        return clone_of_sure_source(state, step);
    int source = open_path(state, step->source, step->source_path);
    if (source < 0)
        return source;
    long result = check_identity(state, source, "", step);
    if (result == 0)
        result = clone_tree(state, source, "", step);
    raw1(SYS_close, source);
    return result;
}

long mis_bind_mount(struct state *state, const struct mis_step *step) {
    long tree = mis_clone_mount(state, step);
    if (tree < 0)
        return tree;
    long result = set_attributes(state, (int)tree, "", step);
    if (result == 0)
        result = mis_attach(state, (int)tree, step);
    raw1(SYS_close, tree);
    return result;
}

/*
 * The old mount(2) does in one call what takes the new API three to ten, but follows symlinks. So it is for places to
 * which we made all of the way, and no symlink on it, and for nodes of the host's /dev, where only root puts anything.
 */
long mis_mount_here(struct state *state, const struct mis_step *step) {
    _Static_assert(MS_NOSUID == MOUNT_ATTR_NOSUID && MS_NODEV == MOUNT_ATTR_NODEV && MS_NOEXEC == MOUNT_ATTR_NOEXEC,
                   "attributes are passed as flags");
    return attempt(state, SYS_mount,
                   raw5(SYS_mount, "none", step->path, step->source_path, step->attributes, step->text));
}

long mis_bind_here(struct state *state, const struct mis_step *step) {
    long result = attempt(state, SYS_mount, raw5(SYS_mount, step->source_path, step->path, NULL, MS_BIND, NULL));
    if (result == 0)
        result = check_identity(state, AT_FDCWD, step->path, step);
    return result == 0 ? set_attributes(state, AT_FDCWD, step->path, step) : result;
}

long mis_pivot(struct state *state) {
    /* The old root ends up stacked on the new one, at ".", and is taken away from there. */
    long result = attempt(state, SYS_pivot_root, raw2(SYS_pivot_root, ".", "."));
    if (result == 0)
        result = attempt(state, SYS_umount2, raw2(SYS_umount2, ".", 2 /* MNT_DETACH */));
    if (result == 0)
        result = attempt(state, SYS_chdir, raw1(SYS_chdir, "/"));
    return result;
}
