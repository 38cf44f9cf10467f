// The threat policy: for one key after another, the whitelist excuses, the hotfix filter denies, the base filter with
// its exact keys denies. docs/policy.md says what a key is, policy_key.h how it is hashed.
//
// An object has up to three keys (path, name, inode), code one more (its digest), an address one for each shape of
// range a filter holds. Kinds that no filter holds cost one comparison.
#ifndef MIS_THREAT_H
#define MIS_THREAT_H

#include "maps.h"
#include "question.h"

// What a key is made of, and where its path is read. Small: it lies on the stack below every hook.
struct subject {
    union {
        struct policy_hash hash;
        struct policy_key key;
    };
    u64 details;
    u64 value[4];
    u64 dentry;
    u64 mount;
    u64 root;
    u64 text;
    u32 left;
    u16 policy;
    u16 port;
    u8 kind;
    u8 operation;
    u8 words;
    u8 layer;
    u8 wanted;
    u8 protocol;
};

// Functions of their own, because what the verifier has looked at once it need not follow again on every way to it.
__noinline int absorb(struct policy_hash *hash, u64 word) {
    if (hash)
        policy_hash_word(hash, word);
    return 0;
}

__noinline int finish(struct policy_hash *hash) {
    if (!hash)
        return 0;
    struct policy_key key = policy_hash_end(hash);
    hash->v0 = key.low;
    hash->v1 = key.high;
    return 0;
}

// Eight bytes of a name, filled up with zeroes.
static long hash_word(u32 index, struct subject *subject) {
    u64 word = 0;
    u32 length = subject->left < 8 ? subject->left : 8;
    if (bpf_probe_read_kernel(&word, sizeof(word), (void *)subject->text)) {
        // At the end of a page the bytes behind the name may not be there.
        word = 0;
        for (u32 at = 0; at < 8 && at < length; at++) {
            u8 byte = 0;
            bpf_probe_read_kernel(&byte, sizeof(byte), (void *)(subject->text + at));
            word |= (u64)byte << at * 8;
        }
    } else if (length < 8) {
        word &= (1ULL << (length & 7) * 8) - 1;
    }
    absorb(&subject->hash, word);
    subject->left -= length;
    subject->text += 8;
    return subject->left == 0;
}

static __always_inline void hash_part(struct subject *subject, u64 address) {
    struct dentry *dentry = (struct dentry *)address;
    const unsigned char *text = 0;
    subject->left = 0;
    READ(subject->left, dentry->d_name.len);
    READ(text, dentry->d_name.name);
    subject->text = (u64)text;
    absorb(&subject->hash, subject->left);
    if (subject->left)
        bpf_loop(POLICY_NAME_WORDS, hash_word, subject, 0);
}

// One step up of a path: a part, or from a mount's root to where it is mounted.
static long hash_step(u32 index, struct subject *subject) {
    u64 here = subject->dentry;
    if (here == subject->root && leave_mount(&subject->dentry, &subject->mount, &subject->root))
        return 0;
    struct dentry *dentry = (struct dentry *)here, *parent = 0;
    READ(parent, dentry->d_parent);
    if (here == subject->root || (u64)parent == here || !parent)
        return 1;
    hash_part(subject, here);
    subject->dentry = (u64)parent;
    return 0;
}

// The subject's key under one filter's secret. Word 0 is hashed with the rest, so kinds and operations never meet.
static __noinline int make_key(struct subject *subject, const struct policy_filter *filter) {
    if (!subject || !filter)
        return 0;
    policy_hash_start(&subject->hash, filter->secret, subject->kind, subject->operation, subject->details);
    if (subject->kind == POLICY_PATH) {
        u64 dentry = subject->dentry, mount = subject->mount;
        struct vfsmount *seen = (struct vfsmount *)mount;
        subject->root = 0;
        if (mount)
            READ(subject->root, seen->mnt_root);
        bpf_loop(ARBITER_WALK_STEPS, hash_step, subject, 0);
        subject->dentry = dentry;
        subject->mount = mount;
    } else if (subject->kind == POLICY_NAME) {
        hash_part(subject, subject->dentry);
    } else {
        for (u32 word = 0; word < 4; word++) {
            if (word < subject->words)
                absorb(&subject->hash, subject->value[word]);
        }
    }
    // The key comes to lie where the hash was.
    finish(&subject->hash);
    return 0;
}

static __always_inline int holds(const u64 *bits, u32 words_log2, const struct policy_filter *filter,
                                 struct policy_key key) {
    u32 hashes = filter->hashes;
    for (u32 turn = 0; turn < POLICY_MAXIMUM_HASHES && turn < hashes; turn++) {
        u64 bit = policy_bit(key, turn, words_log2 + 6);
        if (!(bits[bit >> 6 & ((1U << words_log2) - 1)] >> (bit & 63) & 1))
            return 0;
    }
    return 1;
}

// Which layer answers for the subject. Leaves the key that decided, under that layer's secret.
static __always_inline u32 layer_of(struct subject *subject) {
    u32 number = subject->policy;
    struct arbiter_policy *policy = bpf_map_lookup_elem(&policies, &number);
    if (!policy)
        return ARBITER_LAYER_RULES;
    u32 bit = 1U << (subject->kind & 31);
    if (!((policy->hotfix.kinds | policy->base.kinds | policy->whitelist.kinds) & bit))
        return ARBITER_LAYER_RULES;
    if (policy->whitelist.kinds & bit) {
        make_key(subject, &policy->whitelist);
        void *table = bpf_map_lookup_elem(&policy_whitelist, &number);
        if (table && bpf_map_lookup_elem(table, &subject->key))
            return ARBITER_LAYER_WHITELIST;
    }
    if (policy->hotfix.kinds & bit) {
        make_key(subject, &policy->hotfix);
        struct policy_hotfix_bits *bits = bpf_map_lookup_elem(&policy_hotfix, &number);
        u32 first = 0;
        bits = bits ? bpf_map_lookup_elem(bits, &first) : 0;
        if (bits && holds(bits->word, POLICY_HOTFIX_BITS_LOG2 - 6, &policy->hotfix, subject->key))
            return ARBITER_LAYER_HOTFIX;
    }
    if (policy->base.kinds & bit) {
        make_key(subject, &policy->base);
        struct policy_base_bits *bits = bpf_map_lookup_elem(&policy_base, &number);
        void *table = bpf_map_lookup_elem(&policy_exact, &number);
        u32 first = 0;
        bits = bits ? bpf_map_lookup_elem(bits, &first) : 0;
        if (bits && table && holds(bits->word, POLICY_BASE_BITS_LOG2 - 6, &policy->base, subject->key) &&
            bpf_map_lookup_elem(table, &subject->key))
            return ARBITER_LAYER_BASE;
    }
    return ARBITER_LAYER_RULES;
}

// Notes in the question what was found. 1: denied.
static __always_inline int note_layer(struct question *asked, struct subject *subject) {
    if (subject->layer == ARBITER_LAYER_RULES)
        return 0;
    asked->layer = subject->layer;
    asked->kind = subject->kind;
    if (subject->layer < ARBITER_LAYER_HOTFIX)
        return 0;
    asked->key[0] = subject->key.low;
    asked->key[1] = subject->key.high;
    return 1;
}

// Asks about one key; 1 ends a loop over several: denied.
static __always_inline long ask_key(struct subject *subject) {
    u32 layer = layer_of(subject);
    if (layer != ARBITER_LAYER_RULES)
        subject->layer = layer;
    return layer >= ARBITER_LAYER_HOTFIX;
}

// One of the keys of an object: a right in the higher bits of `index`, a kind in the lower two.
static long ask_object(u32 index, struct subject *subject) {
    u32 right = index >> 2 & 3, kind = POLICY_PATH + (index & 3);
    if (!(subject->wanted >> right & 1) || kind > POLICY_INODE)
        return 0;
    // What is to be made has a name, but no inode yet.
    if (kind == POLICY_INODE && !subject->value[1])
        return 0;
    // One byte for each right, in their order.
    subject->operation = (POLICY_READ | POLICY_WRITE << 8 | POLICY_EXECUTE << 16 | POLICY_CONNECT << 24) >> right * 8;
    subject->kind = kind;
    return ask_key(subject);
}

// Whether a file of this path, name or number may not be used as asked, for each thing that is asked. `policy` as in
// the sandbox's entry: its number and one.
__noinline int object_threatens(struct question *asked, u32 policy) {
    if (!asked || !policy)
        return 0;
    struct subject subject = {.dentry = asked->dentry, .mount = asked->mount, .words = 2};
    struct dentry *dentry = (struct dentry *)asked->dentry;
    struct inode *inode = 0;
    struct super_block *block = 0;
    READ(inode, dentry->d_inode);
    READ(block, inode->i_sb);
    READ(subject.left, block->s_dev);
    READ(subject.value[1], inode->i_ino);
    subject.value[0] = (u64)(subject.left >> 20) << 32 | (subject.left & 0xfffff);
    subject.policy = policy - 1;
    subject.wanted = asked->wanted;
    bpf_loop(16, ask_object, &subject, 0);
    return note_layer(asked, &subject);
}

// A system interface by its number: an address family, an ioctl's type.
__noinline int number_threatens(struct question *asked, u32 policy, u32 kind, u32 number) {
    if (!asked || !policy)
        return 0;
    struct subject subject = {.kind = kind, .operation = POLICY_CALL_MADE, .words = 1, .policy = policy - 1};
    subject.value[0] = number;
    ask_key(&subject);
    return note_layer(asked, &subject);
}

// The key of an address under one shape of range: those of the hotfix filter first, then those of the base filter. The
// address itself is in the last two words of the value.
static long ask_shape(u32 index, struct subject *subject) {
    u32 number = subject->policy, which = index & (POLICY_SHAPES - 1);
    struct arbiter_policy *policy = bpf_map_lookup_elem(&policies, &number);
    if (!policy)
        return 1;
    const struct policy_filter *filter = index < POLICY_SHAPES ? &policy->hotfix : &policy->base;
    if (which >= filter->shapes)
        return 0;
    struct policy_shape shape = filter->shape[which];
    subject->details = shape.prefix;
    if (shape.flags & POLICY_SHAPE_PROTOCOL)
        subject->details |= (u64)subject->protocol << 8;
    if (shape.flags & POLICY_SHAPE_PORT)
        subject->details |= (u64)subject->port << 16;
    subject->value[0] = policy_cut(subject->value[2], 0, shape.prefix);
    subject->value[1] = policy_cut(subject->value[3], 64, shape.prefix);
    return ask_key(subject);
}

// An address, under every shape of range that a filter which denies holds.
__noinline int address_threatens(struct question *asked, u32 policy, u32 protocol) {
    if (!asked || !policy)
        return 0;
    struct subject subject = {.kind = POLICY_ADDRESS, .words = 2, .policy = policy - 1, .protocol = protocol};
    subject.port = asked->port;
    subject.operation = asked->operation == ARBITER_OP_BIND ? POLICY_BIND : POLICY_CONNECT;
    __builtin_memcpy(&subject.value[2], asked->address, sizeof(asked->address));
    bpf_loop(2 * POLICY_SHAPES, ask_shape, &subject, 0);
    return note_layer(asked, &subject);
}

#endif
