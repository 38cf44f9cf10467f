// The threat policy: for one key after another, the whitelist excuses, the hotfix filter denies, the base filter with
// its exact keys denies. docs/policy.md says what a key is, policy_key.h how it is hashed.
//
// An object has up to three keys (path, name, inode), code one more (its digest), an address one for each shape of
// range a filter holds. Kinds that no filter holds cost one comparison.
#ifndef MIS_THREAT_H
#define MIS_THREAT_H

#include "maps.h"
#include "question.h"

// What a key is made of. Small: it lies on the stack below every hook.
struct subject {
    struct policy_key key;
    u64 details;
    u64 value[4];
    u64 dentry;
    u64 mount;
    u32 device;
    u16 policy;
    u16 port;
    u8 kind;
    u8 operation;
    u8 words;
    u8 layer;
    u8 protocol;
};

// Functions of their own, because what the verifier has looked at once it need not follow again on every way to it.
__noinline int absorb(struct policy_hash *hash, u64 word) {
    if (hash)
        policy_hash_word(hash, word);
    return 0;
}

__noinline int begin(struct policy_hash *hash, struct subject *subject, const struct policy_filter *filter) {
    if (!hash || !subject || !filter)
        return 0;
    policy_hash_secret(hash, filter->secret);
    return absorb(hash, policy_word_0(subject->kind, subject->operation, subject->details));
}

__noinline int mix(struct policy_hash *hash) {
    if (hash)
        policy_hash_mix(hash);
    return 0;
}

__noinline int finish(struct policy_hash *hash, struct policy_key *key) {
    if (!hash || !key)
        return 0;
    absorb(hash, policy_last_word(hash));
    hash->v2 ^= POLICY_END;
    mix(hash);
    key->low = policy_hash_out(hash);
    hash->v1 ^= POLICY_MORE;
    mix(hash);
    key->high = policy_hash_out(hash);
    return 0;
}

// A path or a name on its way into a key.
struct hashing {
    struct policy_hash hash;
    struct place at;
    // What is left of the current part.
    u64 text;
    u32 left;
    u32 kind;
};

// Takes in the next word of a path or name: a part's length, or up to eight of its bytes. Between parts it goes one up,
// or from a mount's root to where that is mounted. One flat loop over the words of all parts.
static long hash_step(u32 index, struct hashing *path) {
    u64 word = 0;
    if (path->left) {
        // Not a byte more than there is: at the end of a page nothing may follow.
        u32 length = path->left < 8 ? path->left : 8;
        bpf_probe_read_kernel(&word, length, (void *)path->text);
        path->left -= length;
        path->text += 8;
    } else {
        u64 here = path->at.dentry;
        struct dentry *dentry = (struct dentry *)here;
        if (path->kind == POLICY_PATH) {
            if (here == path->at.root && leave_mount(&path->at))
                return 0;
            READ(word, dentry->d_parent);
            if (here == path->at.root || word == here || !word)
                return 1;
            path->at.dentry = word;
        }
        READ(path->left, dentry->d_name.len);
        READ(path->text, dentry->d_name.name);
        word = path->left;
    }
    absorb(&path->hash, word);
    // A name is one part.
    return !path->left && path->kind == POLICY_NAME;
}

// Puts a path at its last part. A function of its own for the kernel 6.1: that looks at a loop's step once, with what
// is known before the first, and leaves out what it then cannot reach. Of what a global function wrote nothing is
// known.
__noinline int set_out(struct hashing *path, struct subject *subject) {
    if (!path || !subject)
        return 0;
    struct vfsmount *seen = (struct vfsmount *)subject->mount;
    path->kind = subject->kind;
    path->left = 0;
    path->text = 0;
    path->at = (struct place){.dentry = subject->dentry, .mount = subject->mount};
    if (seen)
        READ(path->at.root, seen->mnt_root);
    return 0;
}

// The subject's key under one filter's secret. Word 0 is hashed with the rest, so kinds and operations never meet.
__noinline int make_key(struct subject *subject, const struct policy_filter *filter) {
    if (!subject || !filter)
        return 0;
    struct hashing path = {};
    begin(&path.hash, subject, filter);
    if (subject->kind == POLICY_PATH || subject->kind == POLICY_NAME) {
        set_out(&path, subject);
        bpf_loop(ARBITER_WALK_STEPS * (POLICY_NAME_WORDS + 1), hash_step, &path, 0);
    } else {
#pragma clang loop unroll(disable)
        for (u32 word = 0; word < 4; word++) {
            if (word < subject->words)
                absorb(&path.hash, subject->value[word]);
        }
    }
    finish(&path.hash, &subject->key);
    return 0;
}

// A key's places in a filter's bits. No bits: one of the places is not set.
struct places {
    const u64 *bits;
    struct policy_key key;
};

static __always_inline long look(u32 turn, struct places *in, u32 bits_log2) {
    const u64 *bits = in->bits;
    u64 bit = policy_bit(in->key, turn, bits_log2);
    if (bits && bits[bit >> 6 & ((1U << (bits_log2 - 6)) - 1)] >> (bit & 63) & 1)
        return 0;
    in->bits = 0;
    return 1;
}

static long look_hotfix(u32 turn, struct places *in) {
    return look(turn, in, POLICY_HOTFIX_BITS_LOG2);
}

static long look_base(u32 turn, struct places *in) {
    return look(turn, in, POLICY_BASE_BITS_LOG2);
}

static __always_inline u32 turns(const struct policy_filter *filter) {
    return filter->hashes < POLICY_MAXIMUM_HASHES ? filter->hashes : POLICY_MAXIMUM_HASHES;
}

// Which layer answers for the subject. Leaves the key that decided, under that layer's secret. A layer whose tables are
// not there denies: that is seen only of a policy which is being taken out (UNDER_ONE_POLICY).
__noinline u32 layer_of(struct subject *subject) {
    if (!subject)
        return ARBITER_LAYER_RULES;
    u32 number = subject->policy, first = 0;
    struct arbiter_policy *policy = bpf_map_lookup_elem(&policies, &number);
    if (!policy)
        return ARBITER_LAYER_RULES;
    u32 bit = 1U << (subject->kind & 31);
    if (!((policy->hotfix.kinds | policy->base.kinds | policy->whitelist.kinds) & bit))
        return ARBITER_LAYER_RULES;
    // On the stack: 6.1 takes keys of maps from nowhere else.
    struct places in = {};
    if (policy->whitelist.kinds & bit) {
        make_key(subject, &policy->whitelist);
        in.key = subject->key;
        void *table = bpf_map_lookup_elem(&policy_whitelist, &number);
        if (table && bpf_map_lookup_elem(table, &in.key))
            return ARBITER_LAYER_WHITELIST;
    }
    if (policy->hotfix.kinds & bit) {
        make_key(subject, &policy->hotfix);
        in.key = subject->key;
        struct policy_hotfix_bits *bits = bpf_map_lookup_elem(&policy_hotfix, &number);
        bits = bits ? bpf_map_lookup_elem(bits, &first) : 0;
        if (!bits)
            return ARBITER_LAYER_HOTFIX;
        in.bits = bits->word;
        bpf_loop(turns(&policy->hotfix), look_hotfix, &in, 0);
        if (in.bits)
            return ARBITER_LAYER_HOTFIX;
    }
    if (policy->base.kinds & bit) {
        make_key(subject, &policy->base);
        in.key = subject->key;
        struct policy_base_bits *bits = bpf_map_lookup_elem(&policy_base, &number);
        bits = bits ? bpf_map_lookup_elem(bits, &first) : 0;
        if (!bits)
            return ARBITER_LAYER_BASE;
        in.bits = bits->word;
        bpf_loop(turns(&policy->base), look_base, &in, 0);
        if (!in.bits)
            return ARBITER_LAYER_RULES;
        void *table = bpf_map_lookup_elem(&policy_exact, &number);
        if (!table || bpf_map_lookup_elem(table, &in.key))
            return ARBITER_LAYER_BASE;
    }
    return ARBITER_LAYER_RULES;
}

// Notes in the question what was found. 1: denied.
static __always_inline int note_layer(struct question *asked, struct subject *subject) {
    asked->layer = subject->layer;
    if (subject->layer == ARBITER_LAYER_RULES)
        return 0;
    asked->kind = subject->kind;
    if (subject->layer < ARBITER_LAYER_HOTFIX)
        return 0;
    asked->key[0] = subject->key.low;
    asked->key[1] = subject->key.high;
    return 1;
}

// The place of a sandbox's policy in the tables. Without one: a place that there is not.
static __always_inline u32 policy_place(u32 policy) {
    return (policy & ARBITER_POLICY_NUMBER) - 1;
}

// What `ask` (of `policy`, the sandbox's word) says, under one policy as a whole. A policy that nobody has any more is
// taken out at once and its place is filled anew, while a program that read the word before may still be at it: what
// it found then does not count. Where policies change faster than a question is answered nothing is granted.
#define UNDER_ONE_POLICY(asked, sandbox, ask)                                                                          \
    ({                                                                                                                 \
        u32 settled_ = 0, said_ = 0;                                                                                   \
        _Pragma("clang loop unroll(disable)") for (int attempt_ = 0; attempt_ < 4 && !settled_; attempt_++) {          \
            u32 policy = *(volatile u32 *)&(sandbox)->policy;                                                          \
            said_ = policy & ARBITER_POLICY_NUMBER ? (ask) : 0;                                                        \
            settled_ = policy == *(volatile u32 *)&(sandbox)->policy;                                                  \
        }                                                                                                              \
        if (!settled_)                                                                                                 \
            count((asked)->slot, ARBITER_COUNT_FAILED_CLOSED);                                                         \
        said_ || !settled_;                                                                                            \
    })

// Asks about one key; 1 ends a loop over several: denied.
static __always_inline long ask_key(struct subject *subject) {
    u32 layer = layer_of(subject);
    if (layer != ARBITER_LAYER_RULES)
        subject->layer = layer;
    return layer >= ARBITER_LAYER_HOTFIX;
}

// Whether a file of this path, name or number may not be used as asked, for each thing that is asked. `policy` as in
// the sandbox's entry.
__noinline int object_threatens(struct question *asked, u32 policy) {
    if (!asked)
        return 1;
    struct subject subject = {.dentry = asked->dentry, .mount = asked->mount, .words = 2};
    // Read where the values come to lie: the stack is short here.
    struct dentry *dentry = (struct dentry *)asked->dentry;
    READ(subject.value[1], dentry->d_inode);
    struct inode *inode = (struct inode *)subject.value[1];
    READ(subject.value[0], inode->i_sb);
    READ(subject.value[1], inode->i_ino);
    struct super_block *block = (struct super_block *)subject.value[0];
    READ(subject.device, block->s_dev);
    subject.value[0] = (u64)(subject.device >> 20) << 32 | (subject.device & 0xfffff);
    subject.policy = policy_place(policy);
    u32 wanted = asked->wanted;
    // What is to be made has a name, but no inode yet.
    u32 last = subject.value[1] ? POLICY_INODE : POLICY_NAME;
    // One place that calls: kernel 7 looks at a function anew for every way to it that hands over part of the stack.
#pragma clang loop unroll(disable)
    for (u32 right = 0; right < 4; right++) {
        // One byte for each right, in their order.
        subject.operation =
            (POLICY_READ | POLICY_WRITE << 8 | POLICY_EXECUTE << 16 | POLICY_CONNECT << 24) >> right * 8;
#pragma clang loop unroll(disable)
        for (u32 kind = POLICY_PATH; kind <= POLICY_INODE; kind++) {
            subject.kind = kind;
            if (wanted >> right & 1 && kind <= last && ask_key(&subject))
                return note_layer(asked, &subject);
        }
    }
    return note_layer(asked, &subject);
}

// A system interface by its number: an address family, an ioctl's type.
__noinline int number_threatens(struct question *asked, u32 policy, u32 kind, u32 number) {
    if (!asked)
        return 1;
    struct subject subject = {.kind = kind, .operation = POLICY_CALL_MADE, .words = 1, .policy = policy_place(policy)};
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
    if (!asked)
        return 1;
    struct subject subject = {.kind = POLICY_ADDRESS, .words = 2, .policy = policy_place(policy), .protocol = protocol};
    subject.port = asked->port;
    subject.operation = asked->operation == ARBITER_OP_BIND ? POLICY_BIND : POLICY_CONNECT;
    __builtin_memcpy(&subject.value[2], asked->address, sizeof(asked->address));
    bpf_loop(2 * POLICY_SHAPES, ask_shape, &subject, 0);
    return note_layer(asked, &subject);
}

#endif
