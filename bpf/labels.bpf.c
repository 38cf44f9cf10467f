// Labels: the supervisor opens what a rule names and asks here for its label. The very inode the kernel holds is
// labelled, by its address, so device numbers that differ between stat and kernel (btrfs, overlayfs) and inode numbers
// that repeat (btrfs subvolumes) do not matter. The descriptor keeps the inode, and so the address, in place.
#include "events.h"

SEC("iter/task_file")
int put_labels(struct bpf_iter__task_file *ctx) {
    struct file *file = ctx->file;
    struct task_struct *task = ctx->task;
    if (!file || !task)
        return 0;
    struct arbiter_request_key which = {.pid = task->tgid, .descriptor = ctx->fd};
    struct arbiter_request *asked = bpf_map_lookup_elem(&requests, &which);
    if (!asked || asked->answer)
        return 0;
    struct inode *inode = 0;
    struct dentry *dentry = 0;
    struct super_block *block = 0;
    u64 number = 0;
    u32 device = 0, generation = 0;
    READ(dentry, file->f_path.dentry);
    // The dentry's inode, as the walk will see it; an O_PATH descriptor's own is the same.
    READ(inode, dentry->d_inode);
    READ(number, inode->i_ino);
    READ(generation, inode->i_generation);
    READ(block, inode->i_sb);
    READ(device, block->s_dev);
    long failed;
    if (asked->node) {
        struct arbiter_anchor_key key = {.slot = asked->slot, .node = asked->node, .inode = (u64)inode};
        struct arbiter_anchor value = {.number = number,
                                       .device = device,
                                       .generation = generation,
                                       .rights = asked->rights,
                                       .rule = asked->rule,
                                       .flags = asked->flags};
        failed = bpf_map_update_elem(&anchors, &key, &value, BPF_ANY);
    } else {
        struct arbiter_label_key key = {.slot = asked->slot, .inode = (u64)inode};
        struct arbiter_label value = {
            .number = number, .device = device, .generation = generation, .rights = asked->rights, .rule = asked->rule};
        failed = bpf_map_update_elem(&labels, &key, &value, BPF_ANY);
    }
    asked->inode = (u64)inode;
    asked->answer = failed ? 2 : 1;
    return 0;
}

// What the threat policy says about a key that is made of numbers, and the key itself: for tools and tests.
SEC("syscall")
int ask_policy(struct arbiter_question *asked) {
    struct subject subject = {.details = asked->details, .kind = asked->kind, .operation = asked->operation};
    subject.words = asked->words;
    subject.policy = asked->policy - 1;
    // A path or a name is read from the kernel's own objects only.
    if (subject.kind == POLICY_PATH || subject.kind == POLICY_NAME || asked->policy == 0)
        return -22;
    for (int word = 0; word < 4; word++)
        subject.value[word] = asked->value[word];
    asked->layer = layer_of(&subject);
    asked->key[0] = subject.key.low;
    asked->key[1] = subject.key.high;
    return 0;
}
