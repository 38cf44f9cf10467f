// Labels: the supervisor opens what a rule names and asks here what the kernel has there. It then labels that very
// inode by its address, so device numbers that differ between stat and kernel (btrfs, overlayfs) and inode numbers that
// repeat (btrfs subvolumes) do not matter. The descriptor keeps the inode, and so the address, in place.
#include "events.h"

SEC("iter/task_file")
int list_objects(struct bpf_iter__task_file *ctx) {
    struct file *file = ctx->file;
    if (!file || !ctx->task)
        return 0;
    struct inode *inode = 0;
    struct dentry *dentry = 0;
    struct super_block *block = 0;
    struct arbiter_object found = {.descriptor = ctx->fd};
    READ(dentry, file->f_path.dentry);
    // The dentry's inode, as the walk will see it; an O_PATH descriptor's own is the same.
    READ(inode, dentry->d_inode);
    READ(found.number, inode->i_ino);
    READ(found.generation, inode->i_generation);
    READ(block, inode->i_sb);
    READ(found.device, block->s_dev);
    found.inode = (u64)inode;
    bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
    return 0;
}

// What the threat policy says about a key that is made of numbers, and the key itself: for tools and tests.
SEC("syscall")
int ask_policy(struct arbiter_question *asked) {
    struct subject subject = {.details = asked->details, .kind = asked->kind, .operation = asked->operation};
    subject.words = asked->words;
    subject.policy = policy_place(asked->policy);
    // A path or a name is read from the kernel's own objects only.
    if (subject.kind == POLICY_PATH || subject.kind == POLICY_NAME || !(asked->policy & ARBITER_POLICY_NUMBER))
        return -22;
    for (int word = 0; word < 4; word++)
        subject.value[word] = asked->value[word];
    asked->layer = layer_of(&subject);
    asked->key[0] = subject.key.low;
    asked->key[1] = subject.key.high;
    return 0;
}
