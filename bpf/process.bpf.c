// Processes: nothing inside reaches a task outside, whatever the call.
#include "events.h"

#define PTRACE_MODE_ATTACH 2

static __always_inline int judge_target(u32 operation, struct task_struct *target, u64 detail) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct question asked = {.slot = slot, .operation = operation, .detail = detail};
    return slot_of_task(target) == slot ? 0 : judge_deed(&asked, 1);
}

// ptrace, /proc/PID/mem, process_vm_readv and writev, pidfd_getfd, /proc/PID/fd: the kernel asks here for all of them
// (C117, C121, C126). Between two tasks of one sandbox, looking is allowed and attaching as the profile says.
SEC("lsm/ptrace_access_check")
int BPF_PROG(ptrace_access_check, struct task_struct *child, unsigned int mode) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_PTRACE, .detail = mode};
    if (slot_of_task(child) != slot)
        return judge_deed(&asked, 1);
    return mode & PTRACE_MODE_ATTACH && !(sandbox_flags(slot) & ARBITER_ALLOW_PTRACE) ? judge_deed(&asked, 1) : 0;
}

SEC("lsm/ptrace_traceme")
int BPF_PROG(ptrace_traceme, struct task_struct *parent) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_PTRACE};
    return slot_of_task(parent) == slot && sandbox_flags(slot) & ARBITER_ALLOW_PTRACE ? 0 : judge_deed(&asked, 1);
}

SEC("lsm/task_kill")
int BPF_PROG(task_kill, struct task_struct *target, struct kernel_siginfo *info, int signal) {
    return judge_target(ARBITER_OP_SIGNAL, target, signal);
}

SEC("lsm/task_setnice")
int BPF_PROG(task_setnice, struct task_struct *target) {
    return judge_target(ARBITER_OP_SCHEDULE, target, 0);
}

SEC("lsm/task_setscheduler")
int BPF_PROG(task_setscheduler, struct task_struct *target) {
    return judge_target(ARBITER_OP_SCHEDULE, target, 1);
}

SEC("lsm/task_setioprio")
int BPF_PROG(task_setioprio, struct task_struct *target) {
    return judge_target(ARBITER_OP_SCHEDULE, target, 2);
}

SEC("lsm/task_movememory")
int BPF_PROG(task_movememory, struct task_struct *target) {
    return judge_target(ARBITER_OP_SCHEDULE, target, 3);
}

// A user namespace gives capabilities over new namespaces and with them half the kernel's attack surface (C076, C106).
SEC("lsm/userns_create")
int BPF_PROG(userns_create, const struct cred *cred) {
    return refuse_inside(ARBITER_OP_USERNS, 0, ARBITER_ALLOW_USERNS);
}

SEC("lsm/path_chroot")
int BPF_PROG(path_chroot, const struct path *path) {
    return refuse_inside(ARBITER_OP_CHROOT, 0, ARBITER_ALLOW_MOUNT);
}

// --- whose task is whose --------------------------------------------------------------------------------------------

// Of the v2 tree, whose hierarchy is number 0 (kernel/cgroup/cgroup.c). Every v1 hierarchy counts its folders for
// itself, so one of them may have the number of a sandbox's.
static __always_inline int is_unified(const struct cgroup *group) {
    return !group->root->hierarchy_id;
}

// A cgroup made below a sandbox's is the sandbox's (C137). Told before any task can enter it.
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *group, const char *path) {
    if (!registry.sandboxes || !is_unified(group))
        return 0;
    u64 id = group->kn->id;
    // The hook hands over the new cgroup; its parent is one step up in the same tree of names.
    struct kernfs_node___parent {
        struct kernfs_node *parent;
    } __attribute__((preserve_access_index));
    struct kernfs_node___rcu {
        struct kernfs_node *__parent;
    } __attribute__((preserve_access_index));
    struct kernfs_node *node = group->kn, *parent = 0;
    u64 above = 0;
    if (bpf_core_field_exists(((struct kernfs_node___parent *)0)->parent))
        READ(parent, ((struct kernfs_node___parent *)node)->parent);
    else
        READ(parent, ((struct kernfs_node___rcu *)node)->__parent);
    READ(above, parent->id);
    u32 *slot = bpf_map_lookup_elem(&cgroups, &above);
    if (!slot)
        return 0;
    u32 mine = *slot;
    registry.nested = 1;
    if (bpf_map_update_elem(&cgroups, &id, &mine, BPF_ANY)) {
        registry.crowded = 1;
        count(mine, ARBITER_COUNT_FAILED_CLOSED);
    }
    __sync_fetch_and_or(&registry.filter[id >> 6 & (ARBITER_FILTER_WORDS - 1)], 1ULL << (id & 63));
    return 0;
}

// Whether or not there is a sandbox: one that was being entered when its supervisor was killed is not counted yet.
SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_gone, struct cgroup *group, const char *path) {
    if (!is_unified(group))
        return 0;
    u64 id = group->kn->id;
    u32 *slot = bpf_map_lookup_elem(&cgroups, &id);
    if (!slot)
        return 0;
    u32 mine = *slot;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &mine);
    if (!sandbox)
        return 0;
    // The sandbox's own cgroup is its supervisor's to take out, or whoever collects after that one's death: told here,
    // so that nobody has to look for every cgroup at every start.
    if (sandbox->cgroup == id)
        sandbox->gone = 1;
    else
        bpf_map_delete_elem(&cgroups, &id);
    return 0;
}
