// Who is asking (the gate), what the rules grant on an object (the walk), and the one function that decides (judge).
#ifndef MIS_VERDICT_H
#define MIS_VERDICT_H

#include "threat.h"

// --- the gate -------------------------------------------------------------------------------------------------------

// Nearly every task of a machine is outside any sandbox, so this is the price everybody pays: two loads, one small
// helper and a bit. The bit is looked up in a table as large as a page-table: a thousand sandboxes cost what one does.
static __always_inline int is_noted(u64 cgroup) {
    u64 bits = registry.filter[cgroup >> 6 & (ARBITER_FILTER_WORDS - 1)];
    // The instruction shifts by the low six bits, as is wanted; in C they would have to be taken apart first.
    asm("%0 >>= %1" : "+r"(bits) : "r"(cgroup));
    return bits & 1;
}

static __always_inline u64 noted(u64 cgroup) {
    return is_noted(cgroup) ? cgroup : 0;
}

static __always_inline u64 caller_cgroup(void) {
    return registry.sandboxes ? noted(bpf_get_current_cgroup_id()) : 0;
}

// Whether the caller may be inside one, without the helper's price. Only in programs that never sleep: they run under
// RCU, which keeps the task's groups in place.
static __always_inline int inside_in_rcu(u64 *cgroup) {
    if (!registry.sandboxes)
        return 0;
    struct task_struct *task = bpf_get_current_task_btf();
    *cgroup = task->cgroups->dfl_cgrp->kn->id;
    return is_noted(*cgroup);
}

static __always_inline u32 slot_of(u64 cgroup) {
    if (!cgroup)
        return 0;
    u32 *slot = bpf_map_lookup_elem(&cgroups, &cgroup);
    return slot ? *slot : 0;
}

// Depth of cgroups looked at where one was not noted.
#define CGROUP_LEVELS 16

// The sandbox of the running task, whose cgroup this is. A cgroup that is not noted is nobody's, unless there was once
// no room to note one: then whoever is above it counts.
static __always_inline u32 slot_here(u64 cgroup) {
    u32 slot = slot_of(cgroup);
    if (slot || !cgroup || !registry.crowded)
        return slot;
    for (int level = 1; level < CGROUP_LEVELS && !slot; level++)
        slot = slot_of(bpf_get_current_ancestor_cgroup_id(level));
    return slot;
}

// The sandbox the running task is in; 0 outside any.
static __always_inline u32 caller(void) {
    return slot_here(caller_cgroup());
}

// The sandbox another task is in. Called where RCU keeps the task's groups in place.
static __always_inline u32 slot_of_task(struct task_struct *task) {
    struct css_set *set = 0;
    struct cgroup *group = 0;
    struct kernfs_node *node = 0;
    u64 id = 0;
    READ(set, task->cgroups);
    READ(group, set->dfl_cgrp);
    READ(node, group->kn);
    READ(id, node->id);
    return slot_of(id);
}

// --- the walk -------------------------------------------------------------------------------------------------------

// The kernel counts the changes of a name and the folder it is in: odd while they are changed, and another number
// afterwards. What was read of both in between belongs together only if the number is even and the same as before.
static __always_inline u32 turn_of(u64 address) {
    struct dentry *dentry = (struct dentry *)address;
    u32 turn = 1;
    READ(turn, dentry->d_seq.seqcount.sequence);
    return turn;
}

static __always_inline int has_turned(u64 address, u32 turn) {
    asm volatile("" : : : "memory");
    return turn & 1 || turn != turn_of(address);
}

// A name on its way down the tree of name rules.
struct naming {
    u64 dentry;
    u32 slot;
    u32 node;
    u32 on_the_way;
    u32 answer;
};

// The rule tree's next node for the name of a folder or file. Keys are on the stack: 6.1 takes them from nowhere else.
static __always_inline struct arbiter_name *name_found(const struct naming *at) {
    struct arbiter_name_key key = {.slot = at->slot, .node = at->node};
    struct dentry *dentry = (struct dentry *)at->dentry;
    u64 word = 0;
    READ(key.length, dentry->d_name.len);
    READ(word, dentry->d_name.name);
    u32 length = key.length;
    if (length == 0 || length >= ARBITER_NAME_BYTES)
        return 0;
    if (bpf_probe_read_kernel(key.name, length & (ARBITER_NAME_BYTES - 1), (void *)word))
        return 0;
    return bpf_map_lookup_elem(&names, &key);
}

// What a rule says whose names end in that folder.
static __always_inline struct arbiter_anchor *anchor_found(const struct naming *at, const struct dentry *folder) {
    struct arbiter_anchor_key place = {.slot = at->slot, .node = at->node};
    READ(place.inode, folder->d_inode);
    struct arbiter_anchor *anchor = bpf_map_lookup_elem(&anchors, &place);
    struct inode *inode = (struct inode *)place.inode;
    READ(place.inode, inode->i_ino);
    return anchor && anchor->number == place.inode ? anchor : 0;
}

static __always_inline int name_part(struct naming *at) {
    struct arbiter_name *found = name_found(at);
    if (!found)
        return 0;
    if (found->flags & ARBITER_NAME_ANYWHERE && !(found->flags & ARBITER_NAME_ON_THE_WAY) == !at->on_the_way) {
        at->answer = ANSWER(found->rights, found->rule) | ANSWER_NAMED | ANSWER_OWN | ANSWER_FLEETING;
        return 0;
    }
    at->node = found->node;
    struct dentry *dentry = (struct dentry *)at->dentry;
    u64 word = 0;
    READ(word, dentry->d_parent);
    if (found->flags & ARBITER_NAME_ANCHORED) {
        struct arbiter_anchor *anchor = anchor_found(at, (struct dentry *)word);
        if (anchor && !(anchor->flags & ARBITER_NAME_ON_THE_WAY) == !at->on_the_way) {
            at->answer = ANSWER(anchor->rights, anchor->rule) | ANSWER_NAMED | ANSWER_OWN | ANSWER_FLEETING;
            return 0;
        }
    }
    if (word == at->dentry)
        return 0;
    at->dentry = word;
    return 1;
}

// One part: 0 ends the search.
__noinline int name_step(struct naming *at) {
    if (!at)
        return 0;
    u64 here = at->dentry;
    u32 turn = turn_of(here);
    int more = name_part(at);
    if (!has_turned(here, turn))
        return more;
    at->answer = ANSWER_UNSURE;
    return 0;
}

// Answers whether the name of `dentry`, with the names above it, is one a rule speaks of. `on_the_way`: ask instead
// whether it is a part of such a name that something ready-made must not be put at.
__noinline u32 named(u32 slot, u64 dentry, u32 on_the_way) {
    struct naming at = {.slot = slot, .dentry = dentry, .on_the_way = on_the_way};
#pragma clang loop unroll(disable)
    for (int depth = 0; depth < ARBITER_NAME_DEPTH && name_step(&at); depth++) {
    }
    return at.answer;
}

// The same for who knows the lengths of last parts (arbiter_sandbox): most names are of none of them.
static __always_inline u32 name_answer(u64 lengths, u32 slot, u64 address) {
    struct dentry *dentry = (struct dentry *)address;
    u32 length = 0;
    READ(length, dentry->d_name.len);
    return length < ARBITER_NAME_BYTES && lengths >> (length & 63) & 1 ? named(slot, address, 0) : 0;
}

// Apart from the walk so that its variables are off the stack when the walk goes deeper.
__noinline u32 labelled(u32 slot, u64 address) {
    struct inode *inode = (struct inode *)address;
    struct arbiter_label_key key = {.slot = slot, .inode = address};
    struct arbiter_label *label = bpf_map_lookup_elem(&labels, &key);
    if (!label)
        return 0;
    u64 number = 0;
    u32 generation = 0, device = 0;
    struct super_block *block = 0;
    READ(number, inode->i_ino);
    READ(generation, inode->i_generation);
    READ(block, inode->i_sb);
    READ(device, block->s_dev);
    if (label->number != number || label->generation != generation || label->device != device)
        return 0;
    // A rule without rights is still an answer.
    return ANSWER(label->rights, label->rule) | ANSWER_OWN;
}

// A walk under way.
struct walk {
    struct place at;
    u64 lengths;
    // The root of the object's own mount, once the walk has left it.
    u64 left;
    u32 slot;
    u32 flags;
    u32 answer;
    u32 ended;
    u32 others;
};

__noinline int in_layer(u64 mount, u64 address) {
    struct mount *here = (void *)mount - __builtin_preserve_field_info(((struct mount *)0)->mnt, 0);
    struct inode *inode = (struct inode *)address;
    struct super_block *block = 0;
    unsigned long kind = 0;
    u64 space = 0;
    READ(space, here->mnt_ns);
    READ(block, inode->i_sb);
    READ(kind, block->s_flags);
    return space == MNT_NS_INTERNAL && !(kind & SB_NOUSER);
}

static __always_inline int end(struct walk *walk, u32 answer) {
    walk->answer = answer;
    walk->ended = 1;
    return 1;
}

// What lies on the walk's place itself, and then one up. `own`: what to leave out of an answer found there.
__noinline int climb(struct walk *walk, u32 own) {
    if (!walk)
        return 1;
    struct dentry *dentry = (struct dentry *)walk->at.dentry;
    u64 inode = 0, parent = 0, here = walk->at.dentry;
    if (READ(inode, dentry->d_inode))
        return end(walk, ANSWER_UNSURE);
    if (inode) {
        u32 found = labelled(walk->slot, inode);
        if (found)
            return end(walk, (found & ~own) | walk->flags);
    }
    if (here == walk->at.root && leave_mount(&walk->at)) {
        if (!walk->left)
            walk->left = here;
        // Which mount leads here can change without any file moving.
        walk->flags |= ANSWER_FLEETING;
        return 0;
    }
    if (here == walk->at.root && in_layer(walk->at.mount, inode)) {
        // Below an overlay the kernel opens the real file itself, after the overlay's own was judged. Only a denial
        // of the real object is added here.
        walk->left = here;
        return end(walk, ANSWER(ANSWER_RIGHTS, 0) | ANSWER_FLEETING);
    }
    READ(parent, dentry->d_parent);
    if (parent != here && parent) {
        walk->at.dentry = parent;
        return 0;
    }
    struct super_block *block = 0;
    unsigned long kind = 0;
    READ(block, ((struct inode *)inode)->i_sb);
    READ(kind, block->s_flags);
    // Only the object's own file system tells that it has no place in the tree: since 7.0 what a namespace's root is
    // mounted on is such a one, too.
    if (kind & SB_NOUSER && !walk->left)
        return end(walk, walk->others >> 8 | ANSWER_ANONYMOUS | ANSWER_DEFAULT | ANSWER_FLEETING);
    // An overlay's work folder lies beside its upper layer, not below that mount's root.
    if (walk->at.mount && in_layer(walk->at.mount, inode))
        return end(walk, ANSWER(ANSWER_RIGHTS, 0) | ANSWER_FLEETING);
    return end(walk, (walk->others & ANSWER_RIGHTS) | walk->flags | ANSWER_DEFAULT);
}

// One object on the way up: its name, then itself. Not a name from before a move and a folder from after it.
static long step_up(u32 step, struct walk *walk) {
    u32 own = step ? ANSWER_OWN : 0, found = 0;
    u64 here = walk->at.dentry;
    u32 turn = turn_of(here);
    if (walk->lengths)
        found = name_answer(walk->lengths, walk->slot, here);
    int ended = found ? end(walk, found & ~own) : climb(walk, own);
    if (has_turned(here, turn))
        return end(walk, ANSWER_UNSURE);
    return loop_answer(ended);
}

// One step towards the root of a file system, past the root of the mount it is seen through.
static long step_to_denial(u32 step, struct walk *walk) {
    struct dentry *dentry = (struct dentry *)walk->at.dentry, *parent = 0;
    u64 inode = 0;
    READ(inode, dentry->d_inode);
    u32 found = inode ? labelled(walk->slot, inode) : 0;
    if (found)
        return end(walk, found & ANSWER_RIGHTS ? 0 : found & ~ANSWER_OWN);
    READ(parent, dentry->d_parent);
    if (parent == dentry || !parent)
        return end(walk, 0);
    walk->at.dentry = (u64)parent;
    return 0;
}

// What the rules grant on an object: the nearest label or name at it or above it, across mounts. `mount` 0: the hook
// knows none, the walk ends at the root of the object's file system.
__noinline u32 granted(u32 slot, u64 dentry, u64 mount) {
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!sandbox || !dentry)
        return ANSWER_UNSURE;
    struct walk walk = {.slot = slot, .at = {.dentry = dentry, .mount = mount}, .lengths = sandbox->name_lengths};
    walk.others = (sandbox->default_rights & ANSWER_RIGHTS) | (sandbox->anonymous_rights & ANSWER_RIGHTS) << 8;
    if (mount)
        READ(walk.at.root, ((struct vfsmount *)mount)->mnt_root);
    bpf_loop(ARBITER_WALK_STEPS, step_up, &walk, 0);
    // Deeper than anything honest: not ended.
    if (!walk.ended)
        return ANSWER_UNSURE;
    if (walk.left) {
        // Seen through a mount that shows only a part of a denied folder, an object is still in that folder.
        u32 answer = walk.answer;
        walk.at.dentry = walk.left;
        walk.ended = 0;
        bpf_loop(ARBITER_WALK_STEPS, step_to_denial, &walk, 0);
        if (!walk.ended)
            return ANSWER_UNSURE;
        return walk.answer ? walk.answer | ANSWER_FLEETING : answer;
    }
    return walk.answer;
}

// Whether a folder above (or the object itself) is denied: all that is asked where everything else was judged before.
__noinline u32 denied_above(u32 slot, u64 dentry) {
    struct walk walk = {.slot = slot, .at = {.dentry = dentry}};
    bpf_loop(ARBITER_WALK_STEPS, step_to_denial, &walk, 0);
    return walk.ended ? walk.answer : ANSWER_UNSURE;
}

// `granted` over a tree in which folders move: a walk that saw one move is done again; one that never saw the tree hold
// still grants nothing. A move that has begun before the walk can still happen during it, and show it one folder from
// before and another from after: but one such move spoils one walk only, so one walk more than there are moves under
// way has to say the same.
__noinline u32 granted_now(struct question *asked) {
    if (!asked)
        return ANSWER_UNSURE;
#pragma clang loop unroll(disable)
    for (int attempt = 0; attempt < 4; attempt++) {
        u64 generation = tree.generation, begun = tree.begun, moving = tree.moving;
        u32 answer = granted(asked->slot, asked->dentry, asked->mount), again = answer;
#pragma clang loop unroll(disable)
        for (u64 more = 0; more < 3 && more < moving && again == answer; more++)
            again = granted(asked->slot, asked->dentry, asked->mount);
        if (again == answer && !(answer & ANSWER_UNSURE) && generation == tree.generation && begun == tree.begun)
            return answer;
    }
    return ANSWER_UNSURE;
}

// --- the verdict ----------------------------------------------------------------------------------------------------

__noinline int report(struct question *asked, u32 verdict);

// Counts and tells a decision, and says whether it is a refusal (1): the one place where one is made. A function of its
// own keeps its variables off the stack of the walks.
__noinline int conclude(struct question *asked, u32 refused) {
    if (!asked)
        return 1;
    u32 slot = asked->slot;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    u32 flags = sandbox ? sandbox->flags : 0, verdict = ARBITER_DENIED;
    if (!refused) {
        verdict = ARBITER_ALLOWED;
    } else if (asked->layer >= ARBITER_LAYER_HOTFIX) {
        // A sandbox that learns is not shown what is known to be dangerous.
        count(asked->slot, ARBITER_COUNT_THREATS);
    } else if (flags & ARBITER_LEARN) {
        verdict = ARBITER_TRACED;
    }
    // What is allowed on a folder's verdict is counted by who asked the folder.
    if (verdict != ARBITER_ALLOWED || !(asked->answer & ANSWER_LENT))
        count(asked->slot, verdict == ARBITER_ALLOWED  ? ARBITER_COUNT_ALLOWED
                           : verdict == ARBITER_TRACED ? ARBITER_COUNT_TRACED
                                                       : ARBITER_COUNT_DENIED);
    if (verdict != ARBITER_ALLOWED || flags & ARBITER_TRACE)
        report(asked, verdict);
    return verdict == ARBITER_DENIED;
}

// Decides on an object of a file system. The threat policy stands between the walk and the comparison: it can refuse
// what the rules grant, never grant what they refuse.
__noinline int judged(struct question *asked) {
    if (!asked)
        return 1;
    u32 slot = asked->slot;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!sandbox || sandbox->state == ARBITER_FREE)
        return 1;
    // The set-up is ours until its first exec.
    if (sandbox->state == ARBITER_SETUP)
        return 0;
    asked->armed = 1;
    // What the folder lent is what a walk would find.
    u32 answer = asked->answer, refused = 0;
    if (!(answer & ANSWER_LENT))
        answer = granted_now(asked);
    // Looked up again: what is not kept over the walk takes none of its stack.
    slot = asked->slot;
    sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!sandbox)
        return 1;
    if (answer & ANSWER_UNSURE) {
        count(slot, ARBITER_COUNT_FAILED_CLOSED);
        answer = ANSWER_UNSURE | ANSWER_FLEETING;
    }
    if (sandbox->flags & ARBITER_TRACE)
        answer |= ANSWER_FLEETING;
    if (asked->operation == ARBITER_OP_USE) {
        // Only what was taken away is refused: what no rule speaks of was handed in open, or has no place in the tree.
        if (!(sandbox->flags & ARBITER_REVOKED)) {
            asked->armed = 0;
            return 0;
        }
        if (answer & ANSWER_DEFAULT)
            answer |= ANSWER_RIGHTS | ANSWER_FLEETING;
    }
    refused = (asked->wanted & ~answer & ANSWER_RIGHTS) != 0;
    if (!refused)
        refused = UNDER_ONE_POLICY(asked, sandbox, object_threatens(asked, policy));
    if (refused)
        answer |= ANSWER_FLEETING;
    else if (sandbox->policy)
        // The threat policy was asked about these and no others.
        answer &= ~ANSWER_RIGHTS | asked->wanted;
    asked->answer = answer;
    return conclude(asked, refused);
}

// Decides on a deed that is no file's: `refused` is what the hook found.
__noinline int judged_deed(struct question *asked, u32 refused) {
    if (!asked)
        return 1;
    u32 slot = asked->slot;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!sandbox || sandbox->state == ARBITER_FREE)
        return 1;
    if (sandbox->state == ARBITER_SETUP)
        return 0;
    return conclude(asked, refused != 0);
}

// The same for the hooks. Newer verifiers want to see that only 0 or an errno comes back, so the compiler must not see
// that it could calculate one.
static __always_inline int errno_of(int refused, int error) {
    asm volatile("" : "+r"(refused));
    return refused ? -error : 0;
}

static __always_inline int judge(struct question *asked) {
    return errno_of(judged(asked), EACCES);
}

static __always_inline int judge_deed(struct question *asked, u32 refused) {
    return errno_of(judged_deed(asked, refused), EPERM);
}

static __always_inline u32 sandbox_flags(u32 slot) {
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    return sandbox ? sandbox->flags : 0;
}

// Refuses `deed` to whoever is in a sandbox whose flags lack `allowing`.
static __always_inline int refuse_inside(u32 operation, u64 detail, u32 allowing) {
    u32 slot = caller();
    if (!slot)
        return 0;
    if (allowing && sandbox_flags(slot) & allowing)
        return 0;
    struct question asked = {.slot = slot, .operation = operation, .detail = detail};
    return judge_deed(&asked, 1);
}

#endif
