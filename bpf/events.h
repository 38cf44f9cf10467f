// How a decision reaches the supervisor.
#ifndef MIS_EVENTS_H
#define MIS_EVENTS_H

#include "verdict.h"

// A kind of denial is told at once, then at most this often with the number of those that were not told.
#define REPEAT_NANOSECONDS 1000000000ULL
// 2^64 divided by the golden ratio: spreads what is multiplied by it over all bits.
#define MIX 0x9e3779b97f4a7c15ULL

// Where the telling of a path is.
struct telling {
    struct place at;
    u64 text;
    u16 end;
    u8 parts;
    u8 whole;
};

// One up. 0: a part to be told; 1: past a mount; 2: that was the last.
__noinline int next_part(struct telling *path) {
    if (!path)
        return 2;
    u64 here = path->at.dentry, parent = 0;
    struct dentry *dentry = (struct dentry *)here;
    READ(parent, dentry->d_parent);
    if (here == path->at.root || parent == here) {
        if (here == path->at.root && leave_mount(&path->at))
            return 1;
        path->whole = 1;
        return 2;
    }
    READ(path->text, dentry->d_name.name);
    path->at.dentry = parent;
    return 0;
}

struct teller {
    struct arbiter_event *event;
    struct telling path;
};

static long tell_part(u32 step, struct teller *teller) {
    struct telling *path = &teller->path;
    int next = next_part(path);
    if (next)
        return loop_answer(next & 2);
    u32 at = path->end;
    if (at > ARBITER_PATH_BYTES - ARBITER_PATH_PART_BYTES)
        return 1;
    long taken = bpf_probe_read_kernel_str(teller->event->path + at, ARBITER_PATH_PART_BYTES, (void *)path->text);
    if (taken <= 0)
        return 1;
    path->end = at + taken;
    path->parts++;
    return 0;
}

// The last parts of the path, leaf first: read with bounded steps from the dentry, whatever the hook; bpf_d_path would
// need a path the verifier trusts and is refused in most hooks.
static __always_inline void describe_path(struct arbiter_event *event, u64 address, u64 mount) {
    struct teller teller = {.event = event, .path = {.at = {.dentry = address, .mount = mount}}};
    struct vfsmount *seen = (struct vfsmount *)mount;
    if (mount)
        READ(teller.path.at.root, seen->mnt_root);
    bpf_loop(ARBITER_PATH_STEPS, tell_part, &teller, 0);
    event->path_parts = teller.path.parts;
    event->path_cut = !teller.path.whole;
}

__noinline int report(struct question *asked, u32 verdict) {
    if (!asked)
        return 0;
    u32 slot = asked->slot;
    u64 now = bpf_ktime_get_ns(), suppressed = 0;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    struct dentry *dentry = (struct dentry *)asked->dentry;
    struct inode *inode = 0;
    if (dentry) {
        READ(inode, dentry->d_inode);
        // What does not exist yet is told apart by its name.
        if (!inode)
            READ(inode, dentry->d_name.hash_len);
    }
    if (verdict != ARBITER_ALLOWED) {
        struct arbiter_repeat_key key = {.cgroup = sandbox ? sandbox->cgroup : 0, .object = (u64)inode};
        key.kind =
            (asked->detail ^ (u64)asked->port << 48) * MIX + (asked->operation | asked->wanted << 16 | verdict << 24);
        struct arbiter_repeat *known = bpf_map_lookup_elem(&repeats, &key);
        if (known && now - known->since < REPEAT_NANOSECONDS) {
            __sync_fetch_and_add(&known->suppressed, 1);
            count(slot, ARBITER_COUNT_REPEATS);
            return 0;
        }
        if (known) {
            suppressed = known->suppressed;
            __sync_fetch_and_add(&known->suppressed, -suppressed);
            known->since = now;
        } else {
            struct arbiter_repeat first = {.since = now};
            bpf_map_update_elem(&repeats, &key, &first, BPF_ANY);
        }
    }
    u32 alert = verdict != ARBITER_ALLOWED;
    void *ring = alert ? bpf_map_lookup_elem(&alerts, &slot) : bpf_map_lookup_elem(&traces, &slot);
    struct arbiter_event *event = ring ? bpf_ringbuf_reserve(ring, sizeof(*event), 0) : 0;
    if (!event) {
        count(slot, alert ? ARBITER_COUNT_ALERTS_LOST : ARBITER_COUNT_TRACES_LOST);
        return 0;
    }
    event->version = ARBITER_VERSION;
    event->size = sizeof(*event);
    event->operation = asked->operation;
    event->verdict = verdict;
    event->time = now;
    event->session = sandbox ? sandbox->session : 0;
    event->level = sandbox ? sandbox->level : 0;
    event->cgroup = bpf_get_current_cgroup_id();
    u64 ids = bpf_get_current_pid_tgid();
    event->pid = ids >> 32;
    event->tid = ids;
    event->uid = bpf_get_current_uid_gid();
    struct task_struct *task = (void *)bpf_get_current_task(), *parent = 0;
    event->parent = 0;
    READ(parent, task->real_parent);
    READ(event->parent, parent->tgid);
    event->wanted = asked->wanted;
    event->rights = asked->answer & ANSWER_RIGHTS;
    event->rule = asked->answer >> ANSWER_RULE_SHIFT;
    event->repeats = suppressed;
    event->port = asked->port;
    event->detail = asked->detail;
    event->layer = asked->layer;
    event->kind = asked->kind;
    event->key[0] = asked->key[0];
    event->key[1] = asked->key[1];
    __builtin_memset(event->unused, 0, sizeof(event->unused));
    __builtin_memcpy(event->address, asked->address, sizeof(event->address));
    bpf_get_current_comm(event->command, sizeof(event->command));
    event->inode = 0;
    event->device = 0;
    event->path_parts = 0;
    event->path_cut = 0;
    if (dentry) {
        struct super_block *block = 0;
        inode = 0;
        READ(inode, dentry->d_inode);
        READ(event->inode, inode->i_ino);
        READ(block, inode->i_sb);
        READ(event->device, block->s_dev);
        describe_path(event, asked->dentry, asked->mount);
    }
    // Alerts wake the reader. Traces do when a quarter of the ring is full: it looks by itself often enough before.
    u64 waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
    u64 wake = alert || waiting > ARBITER_TRACE_BYTES / 4 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
    bpf_ringbuf_submit(event, wake);
    count(slot, alert ? ARBITER_COUNT_ALERTS_SENT : ARBITER_COUNT_TRACES_SENT);
    return 0;
}

#endif
