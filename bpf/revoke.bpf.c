// What was given before rights were taken away: descriptors that are open, code that is mapped.
#include "remembered.h"

#define MAY_WRITE 2
#define MAY_READ 4

// Descriptors that were opened while it was allowed (C038, C045). On the way of every read and write, so it is attached
// only while some sandbox has had rights taken away.
SEC("lsm/file_permission")
int BPF_PROG(revoking_file_permission, struct file *file, int mask) {
    u32 wanted = (mask & MAY_READ ? ARBITER_READ : 0) | (mask & MAY_WRITE ? ARBITER_WRITE : 0);
    return wanted ? judge_file(ctx, file, wanted, ARBITER_OP_USE) : 0;
}

// Tells which processes have code mapped that they may no longer execute: (slot, process) for each mapping found, in
// sandboxes that had rights taken away. The kernel takes no mapping back; whoever reads this can end the process.
SEC("iter/task_vma")
int list_mapped(struct bpf_iter__task_vma *ctx) {
    struct vm_area_struct *area = ctx->vma;
    struct task_struct *task = ctx->task;
    if (!area || !task)
        return 0;
    struct file *file = 0;
    unsigned long flags = 0;
    READ(file, area->vm_file);
    READ(flags, area->vm_flags);
    if (!file || !(flags & VM_EXEC))
        return 0;
    u32 slot = slot_of_task(task);
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!slot || !sandbox || !(sandbox->flags & ARBITER_REVOKED))
        return 0;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_MAP, .wanted = ARBITER_EXECUTE};
    READ(asked.dentry, file->f_path.dentry);
    READ(asked.mount, file->f_path.mnt);
    u32 answer = granted_now(&asked);
    u32 refused = !(answer & (ARBITER_EXECUTE | ANSWER_DEFAULT));
    if (!refused)
        refused = UNDER_ONE_POLICY(&asked, sandbox, object_threatens(&asked, policy));
    if (refused) {
        u32 found[2] = {slot, task->tgid};
        bpf_seq_write(ctx->meta->seq, found, sizeof(found));
    }
    return 0;
}
