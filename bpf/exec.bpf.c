// Execution: the file, its interpreter and loader, and credentials that would grow.
#include "events.h"

// Every file a program start reads as code comes through file_open with its exec mark: the program, a script's
// interpreter, the ELF loader. This hook adds what only it can know: that a start happens at all. It ends the
// set-up: from the sandbox's first exec on, whatever the supervisor does, the rules are live (C127). And it refuses
// code that has no name (memfd, deleted files: C054).
SEC("lsm/bprm_check_security")
int BPF_PROG(bprm_check_security, struct linux_binprm *program) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!sandbox)
        return -EACCES;
    if (sandbox->state == ARBITER_SETUP)
        sandbox->state = ARBITER_ARMED;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_EXEC, .wanted = ARBITER_EXECUTE};
    struct file *file = 0;
    struct inode *inode = 0;
    unsigned int links = 0;
    READ(file, program->file);
    READ(asked.dentry, file->f_path.dentry);
    READ(asked.mount, file->f_path.mnt);
    READ(inode, file->f_inode);
    READ(links, inode->i_nlink);
    int result = judge(&asked);
    if (result || links || sandbox->flags & ARBITER_ALLOW_MEMFD_EXEC)
        return result;
    // A label on the very inode (the sandbox's own init, handed over as a memfd) is a name of its own.
    if (asked.answer & ANSWER_OWN)
        return 0;
    return judge_deed(&asked, 1) ? -EACCES : 0;
}

// Set-uid and the like: who runs a program must not become more by it (C074, C116). no_new_privs and nosuid say so
// too; this holds where one of them was forgotten.
SEC("lsm/bprm_creds_from_file")
int BPF_PROG(bprm_creds_from_file, struct linux_binprm *program) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct cred *new = 0;
    const struct cred *old = 0;
    struct task_struct *task = (void *)bpf_get_current_task();
    u32 effective = 0, was = 0;
    READ(new, program->cred);
    READ(old, task->cred);
    READ(effective, new->euid.val);
    READ(was, old->euid.val);
    struct question asked = {.slot = slot, .operation = ARBITER_OP_CREDENTIALS, .detail = effective};
    return effective != was ? judge_deed(&asked, 1) : 0;
}

SEC("lsm/task_fix_setuid")
int BPF_PROG(task_fix_setuid, struct cred *new, const struct cred *old) {
    u32 slot = caller();
    if (!slot)
        return 0;
    u32 effective = 0, real = 0, saved = 0, had = 0;
    READ(effective, new->euid.val);
    READ(had, old->uid.val);
    READ(saved, old->suid.val);
    READ(real, old->euid.val);
    struct question asked = {.slot = slot, .operation = ARBITER_OP_CREDENTIALS, .detail = effective};
    // Among the ids one has is no gain; down from root is none either.
    if (effective == had || effective == saved || effective == real || real == 0)
        return 0;
    return judge_deed(&asked, 1);
}
