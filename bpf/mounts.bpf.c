// Mounts: a sandbox's view is made by its set-up and never changed from inside (C003 to C006, C071, C092). seccomp and
// missing capabilities say so too; this is the layer that holds when one of those is opened for a nested tool.
#include "events.h"

SEC("lsm/sb_mount")
int BPF_PROG(sb_mount, const char *device, const struct path *path, const char *type, unsigned long flags) {
    return refuse_inside(ARBITER_OP_MOUNT, flags, ARBITER_ALLOW_MOUNT);
}

SEC("lsm/sb_umount")
int BPF_PROG(sb_umount, struct vfsmount *mount, int flags) {
    return refuse_inside(ARBITER_OP_UMOUNT, flags, ARBITER_ALLOW_MOUNT);
}

SEC("lsm/sb_remount")
int BPF_PROG(sb_remount) {
    return refuse_inside(ARBITER_OP_REMOUNT, 0, ARBITER_ALLOW_MOUNT);
}

SEC("lsm/sb_pivotroot")
int BPF_PROG(sb_pivotroot) {
    return refuse_inside(ARBITER_OP_PIVOT, 0, ARBITER_ALLOW_MOUNT);
}

SEC("lsm/move_mount")
int BPF_PROG(move_mount) {
    return refuse_inside(ARBITER_OP_MOVE_MOUNT, 0, ARBITER_ALLOW_MOUNT);
}

// The new mount interface has no hook at fsopen; without a parameter nothing it opens can be mounted (C110).
SEC("lsm/fs_context_parse_param")
int BPF_PROG(fs_context_parse_param) {
    return refuse_inside(ARBITER_OP_FSCONFIG, 0, ARBITER_ALLOW_MOUNT);
}
