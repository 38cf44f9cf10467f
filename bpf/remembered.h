// What is remembered of a verdict: on the file it was given for, and on a folder for all that lies in it.
//
// A folder's verdict is what a walk that begins at the folder finds. For what lies in the folder, and has neither a
// label nor a name with a rule of its own, a walk of its own would find the same. It is lent to files only, never to
// changes of the tree, and only to allow: a denial is always found and told by a whole walk.
#ifndef MIS_REMEMBERED_H
#define MIS_REMEMBERED_H

#include "events.h"

// The distance between two kernel objects: a number, where the verifier would not let an address be one. Together with
// the inode the verdict lies on it says as much as the address itself.
static __always_inline u64 distance(const void *to, const void *from) {
    asm volatile("%0 -= %1" : "+r"(to) : "r"(from));
    return (u64)to;
}

// Whether a file has one name only. A folder has no second one, whatever its links are.
static __always_inline int is_lone(const struct inode *inode) {
    return inode->i_nlink == 1 || S_ISDIR(inode->i_mode);
}

// A universal hash of everything a verdict depends on, keyed with the machine's secret: 56 bits of it mark a verdict.
// The folder counts by its place in memory and by its number: neither alone is safe from being used again. Of the mount
// only its root counts: what is remembered was found without leaving it. `self`: which object this is, where the
// verdict does not lie on the object.
static __always_inline u64 mark(u64 cgroup, u64 generation, struct inode *inode, struct dentry *dentry,
                                struct vfsmount *mount, u64 self) {
    u64 sum = registry.secret[6];
    // One after the other, so that each is done with before the next is read: registers are few here.
#define TAKE_IN(what, secret_)                                                                                         \
    sum += (what)*registry.secret[secret_];                                                                            \
    asm volatile("" : "+r"(sum))
    TAKE_IN(cgroup, 0);
    TAKE_IN(generation, 1);
    TAKE_IN(distance(mount->mnt_root, inode), 5);
    // Not the union of both: the verifier reads its first member only.
    TAKE_IN((u64)dentry->d_name.hash << 32 | dentry->d_name.len, 4);
    struct dentry *folder = dentry->d_parent;
    TAKE_IN(distance(folder, inode), 2);
    TAKE_IN(folder->d_inode->i_ino, 3);
    if (self) {
        TAKE_IN(self, 7);
    }
#undef TAKE_IN
    return (sum ^ sum >> 29) & ~0xffULL;
}

// Keeps a verdict. What was found before under the same mark still holds, and is no younger for it. `from`: the
// folder's verdict it was taken from, if it was.
static __always_inline void remember(struct verdict *known, u32 slot, u64 word, const struct arbiter_folder *from) {
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!sandbox)
        return;
    u32 now = bpf_ktime_get_ns() / 1000000000;
    u64 before = known->word;
    tree.now = now;
    known->slot = slot;
    if ((before & ~0xffULL) == (word & ~0xffULL) && (int)(known->until[ARBITER_LIFETIME_OPEN] - now) > 0) {
        known->word = before | word;
        return;
    }
    for (int life = 0; life < ARBITER_LIFETIMES; life++)
        known->until[life] = from ? from->until[life] : now + sandbox->lifetime[life];
    known->word = word;
}

// Whether a file has not been lent a verdict lately: most are opened once, and a verdict of their own would cost them
// more than it saves. A guess: two files that fall together are both taken for new.
static __always_inline int first_time(u64 word) {
    u32 place = word >> 8 & (ARBITER_LENT_LATELY - 1), tag = word >> 32;
    if (lately.tag[place] == tag)
        return 0;
    lately.tag[place] = tag;
    return 1;
}

// Whether an object with this inode has no rule of its own, and lies in that folder. The folder is looked at last:
// between a name read in one folder and the verdict of another nothing is lent.
__noinline int ruleless(struct question *asked, u64 inode, u64 folder) {
    if (!asked)
        return 0;
    u32 slot = asked->slot;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    struct dentry *dentry = (struct dentry *)asked->dentry;
    u64 now = 0;
    if (!sandbox || labelled(slot, inode))
        return 0;
    if (sandbox->name_lengths && name_answer(sandbox->name_lengths, slot, asked->dentry))
        return 0;
    READ(now, dentry->d_parent);
    return now == folder;
}

// What a walk finds that begins at the folder in the question's key[1] (LENT_UNKNOWN).
__noinline u32 folder_answer(struct question *asked) {
    if (!asked)
        return ANSWER_UNSURE;
    u64 object = asked->dentry;
    asked->dentry = asked->key[1];
    u32 answer = granted_now(asked);
    asked->dentry = object;
    return answer;
}

// Whether that folder has no rule of its own: asked what a file is asked that is lent a verdict.
__noinline int ruleless_folder(struct question *asked) {
    if (!asked)
        return 0;
    u64 object = asked->dentry, inode = 0, above = 0;
    asked->dentry = asked->key[1];
    struct dentry *folder = (struct dentry *)asked->dentry;
    READ(inode, folder->d_inode);
    READ(above, folder->d_parent);
    int answer = ruleless(asked, inode, above);
    asked->dentry = object;
    return answer;
}

// How long a remembered verdict is used for this. Executing is asked for alone.
static __always_inline u32 lifetime_of(u32 operation, u32 wanted) {
    _Static_assert(ARBITER_EXECUTE == 4 && ARBITER_LIFETIME_OPEN == 0 && ARBITER_LIFETIME_EXECUTE == 1, "a shift");
    return operation == ARBITER_OP_USE ? ARBITER_LIFETIME_USE : wanted >> 2 & 1;
}

enum lending {
    // To be judged as if there were no folder.
    LENT_NOTHING,
    // What a walk would find is in the question; the threat policy has still to be asked about the file itself.
    LENT,
    // The same, and there is no threat policy: allowed.
    LENT_ALL,
    // The folder has no verdict that holds. Until it has, the question's key is the folder's mark and address.
    LENT_UNKNOWN,
};

// The folder of a file, or of a folder. The addresses as numbers come from one that was read and from distances, so
// that all is of the same folder, wherever the file is moved meanwhile.
struct lender {
    struct dentry *folder;
    struct inode *inode;
    u64 address;
    u64 object;
    u64 word;
    struct arbiter_folder_key key;
};

// `object`: the address of the inode as a number. 0: it has none. Seen through a mount of its own it is in no folder,
// nor is what has no place in the tree.
static __always_inline int lender_above(struct lender *to, struct dentry *dentry, struct inode *inode, u64 object,
                                        struct vfsmount *mount, u64 cgroup, u64 generation) {
    to->folder = dentry->d_parent;
    to->inode = to->folder->d_inode;
    if (dentry == mount->mnt_root || dentry == to->folder || !to->inode)
        return 0;
    to->object = object;
    to->address = object + distance(to->folder, inode);
    to->key.inode = object + distance(to->inode, inode);
    to->key.place = cgroup & 3;
    u64 self = to->key.inode * MIX ^ to->inode->i_ino << 32 ^ to->inode->i_generation;
    to->word = mark(cgroup, generation, to->inode, to->folder, mount, self);
    return 1;
}

static __always_inline int lender_of(struct lender *to, const u64 *ctx, u64 cgroup, u64 generation,
                                     const struct question *asked) {
    struct file *file = (struct file *)ctx[0];
    // Asked before by every hook, but newer kernels forget that.
    if (!file)
        return 0;
    struct dentry *number = (struct dentry *)asked->dentry;
    u64 object = 0;
    READ(object, number->d_inode);
    return lender_above(to, file->f_path.dentry, file->f_inode, object, file->f_path.mnt, cgroup, generation);
}

// The folder that a file's folder lies in.
static __always_inline int lender_of_lender(struct lender *to, const struct lender *from, const u64 *ctx, u64 cgroup,
                                            u64 generation) {
    struct file *file = (struct file *)ctx[0];
    return file && lender_above(to, from->folder, from->inode, from->key.inode, file->f_path.mnt, cgroup, generation);
}

// Whether no folder has moved since the question was asked, nor moves now. In this order: a move that ends is first
// counted, then no longer under way.
static __always_inline int held_still(u64 generation) {
    asm volatile("" : : : "memory");
    return !tree.moving && generation == tree.generation;
}

// Asks a file's folder. `ctx`: the hook's arguments, the file first. These are functions of their own so that their
// variables are off the stack when the file has to be judged.
static __noinline int lent(const u64 *ctx, u64 cgroup, u64 generation, struct question *asked) {
    u32 slot = asked->slot, lifetime = lifetime_of(asked->operation, asked->wanted);
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!sandbox || sandbox->state != ARBITER_ARMED || sandbox->flags & ARBITER_TRACE || !sandbox->lifetime[lifetime])
        return LENT_NOTHING;
    struct lender from = {};
    if (!lender_of(&from, ctx, cgroup, generation, asked))
        return LENT_NOTHING;
    struct arbiter_folder *known = bpf_map_lookup_elem(&folder_cache, &from.key);
    u64 seen = known ? known->word : 0;
    if (!known || (seen & ~0xffULL) != from.word || (int)(known->until[lifetime] - (u32)tree.now) <= 0) {
        asked->key[0] = from.word;
        asked->key[1] = from.address;
        return LENT_UNKNOWN;
    }
    if (asked->wanted & ~seen || !ruleless(asked, from.object, from.address))
        return LENT_NOTHING;
    asked->answer = ANSWER(seen, known->rule) | ANSWER_LENT;
    asked->armed = 1;
    return sandbox->policy ? LENT : LENT_ALL;
}

// Puts in what was found for a folder. Nothing holds it but what lies in it. One that was left and removed meanwhile
// may have been taken out before this was put in, and would not be again; one that something still lies in was there
// all the time.
static __always_inline int put_folder(const struct lender *at, const struct arbiter_folder *verdict,
                                      struct dentry *inside) {
    bpf_map_update_elem(&folder_cache, &at->key, verdict, BPF_ANY);
    asm volatile("" : : : "memory");
    if (inside->d_parent == at->folder && at->folder->d_inode == at->inode)
        return 1;
    bpf_map_delete_elem(&folder_cache, &at->key);
    return 0;
}

// Keeps what a walk from the folder found, which has to be where it was before the walk. All is read anew from the
// hook's arguments, so that nothing is kept over the walk: the stack is short there.
static __noinline int keep_folder(const u64 *ctx, u64 cgroup, u64 generation, struct question *asked, u32 found) {
    u32 slot = asked->slot;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    struct file *file = (struct file *)ctx[0];
    struct lender from = {}, above = {};
    if (!sandbox || !file || found & ANSWER_UNSURE || !lender_of(&from, ctx, cgroup, generation, asked) ||
        from.word != asked->key[0])
        return 0;
    // What is not to be remembered is remembered as that: nothing is lent, and the next file need not ask.
    u64 rights = found & ANSWER_FLEETING ? 0 : found & ANSWER_RIGHTS;
    struct arbiter_folder verdict = {.word = from.word | rights, .rule = found >> ANSWER_RULE_SHIFT};
    u32 now = bpf_ktime_get_ns() / 1000000000;
    tree.now = now;
    for (int life = 0; life < ARBITER_LIFETIMES; life++)
        verdict.until[life] = now + sandbox->lifetime[life];
    if (!put_folder(&from, &verdict, file->f_path.dentry))
        return 0;
    // Where nothing was found on the folder itself, a walk from the one above would have found the same: kept for the
    // folders beside this one.
    if (found & ANSWER_OWN || !lender_of_lender(&above, &from, ctx, cgroup, generation) || !held_still(generation))
        return 1;
    verdict.word = above.word | rights;
    put_folder(&above, &verdict, from.folder);
    return 1;
}

// Gives a folder that has no verdict, but no rule of its own either (ruleless_folder), the one of the folder above: a
// walk would pass the folder and then find the same. While folders move nothing is given, since which name it had in
// which folder could not be told.
static __noinline int inherit(const u64 *ctx, u64 cgroup, u64 generation, struct question *asked) {
    u32 lifetime = lifetime_of(asked->operation, asked->wanted);
    struct file *file = (struct file *)ctx[0];
    struct lender from = {}, above = {};
    if (!file || !lender_of(&from, ctx, cgroup, generation, asked) || from.word != asked->key[0] ||
        !lender_of_lender(&above, &from, ctx, cgroup, generation))
        return 0;
    struct arbiter_folder *known = bpf_map_lookup_elem(&folder_cache, &above.key);
    if (!known)
        return 0;
    // It lives no longer than the one it was made from. The word is read last: it says whose the rest was.
    struct arbiter_folder verdict = {.rule = known->rule};
    for (int life = 0; life < ARBITER_LIFETIMES; life++)
        verdict.until[life] = known->until[life];
    asm volatile("" : : : "memory");
    u64 seen = known->word;
    if ((seen & ~0xffULL) != above.word || (int)(verdict.until[lifetime] - (u32)tree.now) <= 0 ||
        !held_still(generation))
        return 0;
    verdict.word = from.word | (seen & 0xff);
    return put_folder(&from, &verdict, file->f_path.dentry);
}

// Keeps what was found for a file on its inode.
static __noinline int keep_verdict(const u64 *ctx, u64 cgroup, u64 generation, u64 word, struct question *asked) {
    struct file *file = (struct file *)ctx[0];
    struct arbiter_folder *known = 0;
    if (!file)
        return 0;
    if (asked->answer & ANSWER_LENT) {
        struct lender from = {};
        if (first_time(word) || !lender_of(&from, ctx, cgroup, generation, asked))
            return 0;
        // What was lent lives no longer than what it was lent by.
        known = bpf_map_lookup_elem(&folder_cache, &from.key);
        if (!known || (known->word & ~0xffULL) != from.word)
            return 0;
    }
    struct verdicts *own = bpf_inode_storage_get(&verdict_cache, file->f_inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (own)
        remember(&own->of[cgroup & 3], asked->slot, word | (asked->answer & ANSWER_RIGHTS), known);
    return 0;
}

#endif
