// What is asked about an access, how the kernel's structures are read, and what is counted: what every part needs.
#ifndef MIS_QUESTION_H
#define MIS_QUESTION_H

#include "maps.h"

#define EPERM 1
#define EACCES 13
#define S_IFMT 00170000
#define S_IFDIR 0040000
#define S_ISDIR(mode) (((mode)&S_IFMT) == S_IFDIR)
// Superblocks that user space never mounts: pipes, sockets, memfds, anonymous inodes.
#define SB_NOUSER (1UL << 31)
// In no namespace: the kernel's own mounts, among them the layers below an overlay (MNT_NS_INTERNAL in fs/mount.h).
#define MNT_NS_INTERNAL ((u64)-22)

// The answer of the walk: rights in bits 0 to 3, then these, then the rule's number.
#define ANSWER_RIGHTS 0xf
// The walk left its mount, or a name decided: true now, not to be remembered on the inode.
#define ANSWER_FLEETING (1U << 4)
// The object's own rule or name decided, not one above it.
#define ANSWER_OWN (1U << 5)
#define ANSWER_NAMED (1U << 6)
#define ANSWER_ANONYMOUS (1U << 7)
#define ANSWER_UNSURE (1U << 8)
// No rule spoke: the sandbox's rights on everything else.
#define ANSWER_DEFAULT (1U << 9)
// Not found by a walk: the verdict of the object's folder.
#define ANSWER_LENT (1U << 10)
// That verdict was made for this very question.
#define ANSWER_FRESH (1U << 11)
#define ANSWER_RULE_SHIFT 12
#define ANSWER(rights, rule) (((rights)&ANSWER_RIGHTS) | (rule) << ANSWER_RULE_SHIFT)

// What is asked of judge. Kernel addresses travel as numbers: they are only ever read through, and every program may
// then share one verified function.
struct question {
    u64 dentry;
    u64 mount;
    u64 detail;
    // The threat policy's key that decided, its kind and layer.
    u64 key[2];
    u32 slot;
    u32 operation;
    u32 wanted;
    u32 answer;
    u16 port;
    u16 armed;
    u16 layer;
    u16 kind;
    u8 address[16];
};

#define READ(to, from) bpf_probe_read_kernel(&(to), sizeof(to), (const void *)__builtin_preserve_access_index(&(from)))

// A hook's argument as a number. Read from the context itself, so that its type, which the verifier would not let
// through to a shared function, stays behind.
#define ARGUMENT(n)                                                                                                    \
    ({                                                                                                                 \
        u64 argument_ = 0;                                                                                             \
        bpf_probe_read_kernel(&argument_, sizeof(argument_), (const void *)&ctx[n]);                                   \
        argument_;                                                                                                     \
    })

static __always_inline void count(u32 slot, enum arbiter_counter which) {
    struct arbiter_counters *mine = bpf_map_lookup_elem(&counters, &slot);
    if (mine)
        mine->value[which]++;
}

// Newer verifiers want to see that a loop's step returns 0 or 1, so the compiler must not see that it knows.
static __always_inline long loop_answer(int end) {
    asm volatile("" : "+r"(end));
    return end ? 1 : 0;
}

// Where a walk towards the root is. Kernel addresses as numbers.
struct place {
    u64 dentry;
    u64 mount;
    u64 root;
};

// From a mount's root to the place it is mounted on. 0: there is nothing above. A global function, as everything is
// that loops call: the verifier looks at one once and forgets what it did, so that ways through it do not multiply.
__noinline int leave_mount(struct place *at) {
    if (!at)
        return 0;
    struct mount *here = (void *)at->mount - __builtin_preserve_field_info(((struct mount *)0)->mnt, 0);
    struct mount *above = 0;
    READ(above, here->mnt_parent);
    if (above == here || !above)
        return 0;
    READ(at->dentry, here->mnt_mountpoint);
    struct vfsmount *outer = (void *)above + __builtin_preserve_field_info(((struct mount *)0)->mnt, 0);
    at->mount = (u64)outer;
    READ(at->root, outer->mnt_root);
    return 1;
}

#endif
