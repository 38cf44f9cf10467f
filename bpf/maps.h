// The maps. Pinned by their names; a run finds them there.
#ifndef MIS_MAPS_H
#define MIS_MAPS_H

#include "arbiter_abi.h"

// The object's two globals. `volatile`: another CPU changes them under a program's feet.
volatile struct arbiter_registry registry SEC(".data.registry") = {.version = ARBITER_VERSION};
volatile struct arbiter_tree tree SEC(".data.tree") = {.generation = 1};

#define MAP(kind, entries, key_type, value_type)                                                                       \
    struct {                                                                                                           \
        __uint(type, kind);                                                                                            \
        __uint(max_entries, entries);                                                                                  \
        __type(key, key_type);                                                                                         \
        __type(value, value_type);                                                                                     \
    }
#define GROWING_MAP(kind, entries, key_type, value_type)                                                               \
    struct {                                                                                                           \
        __uint(type, kind);                                                                                            \
        __uint(map_flags, BPF_F_NO_PREALLOC);                                                                          \
        __uint(max_entries, entries);                                                                                  \
        __type(key, key_type);                                                                                         \
        __type(value, value_type);                                                                                     \
    }

// cgroup id to sandbox slot; children of a sandbox's cgroup are entered when they are made. Preallocated: it is
// written where the kernel may not sleep or fail.
MAP(BPF_MAP_TYPE_HASH, 65536, u64, u32) cgroups SEC(".maps");
// Mapped by supervisors too: one field is changed without writing back what the kernel may have changed beside it.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, ARBITER_SANDBOXES);
    __type(key, u32);
    __type(value, struct arbiter_sandbox);
} sandboxes SEC(".maps");
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, ARBITER_SANDBOXES, u32, struct arbiter_counters) counters SEC(".maps");

GROWING_MAP(BPF_MAP_TYPE_HASH, ARBITER_LABELS, struct arbiter_label_key, struct arbiter_label) labels SEC(".maps");
GROWING_MAP(BPF_MAP_TYPE_HASH, ARBITER_NAMES, struct arbiter_name_key, struct arbiter_name) names SEC(".maps");
GROWING_MAP(BPF_MAP_TYPE_HASH, ARBITER_NAMES, struct arbiter_anchor_key, struct arbiter_anchor) anchors SEC(".maps");
GROWING_MAP(BPF_MAP_TYPE_LPM_TRIE, 65536, struct arbiter_address_key, struct arbiter_address) addresses SEC(".maps");
MAP(BPF_MAP_TYPE_LRU_HASH, 16384, struct arbiter_repeat_key, struct arbiter_repeat) repeats SEC(".maps");

// Verdicts on the inode, one word each: 56 bits say for whom, under which name and rules, and in which state of the
// tree; 8 bits say what is granted. One word is read and written whole, so no half of two verdicts is ever seen.
struct verdict {
    u64 word;
    u32 slot;
    // Seconds of `tree.now` until which the word counts, by what it is used for.
    u32 until[ARBITER_LIFETIMES];
};
struct verdicts {
    struct verdict of[4];
};
struct {
    __uint(type, BPF_MAP_TYPE_INODE_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct verdicts);
} verdict_cache SEC(".maps");

// A folder's verdict, of the same kind: what a walk from the folder finds. Here by the inode's address, for a file's
// folder is no object that newer kernels let a program keep storage on; taken out when the inode goes (folder_gone).
MAP(BPF_MAP_TYPE_LRU_HASH, ARBITER_FOLDERS, struct arbiter_folder_key, struct arbiter_folder) folder_cache SEC(".maps");

// Tags of files that a folder's verdict was lent to.
volatile struct { u32 tag[ARBITER_LENT_LATELY]; } lately SEC(".data.lately");

// SHA-256 of an inode's content, for as long as nothing says that the content may have changed. Never changed in place:
// taken out and made anew, so that no reader sees half of one.
struct digest {
    u64 seconds;
    u64 nanoseconds;
    u64 size;
    u64 word[4];
};
struct {
    __uint(type, BPF_MAP_TYPE_INODE_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct digest);
} digests SEC(".maps");

// --- the threat policy: each number's parts, swapped by giving sandboxes another number -----------------------------

MAP(BPF_MAP_TYPE_ARRAY, ARBITER_POLICIES, u32, struct arbiter_policy) policies SEC(".maps");

// By sizes: the compiler leaves the types of maps in maps undefined. One entry, so that one look-up gives all bits;
// mapped by who fills it.
struct policy_base_bits {
    u64 word[ARBITER_BASE_BYTES / 8];
};
struct policy_hotfix_bits {
    u64 word[ARBITER_HOTFIX_BYTES / 8];
};
struct base_map {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __uint(key_size, sizeof(u32));
    __uint(value_size, sizeof(struct policy_base_bits));
};
struct hotfix_map {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __uint(key_size, sizeof(u32));
    __uint(value_size, sizeof(struct policy_hotfix_bits));
};
struct key_map {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __uint(key_size, sizeof(struct policy_key));
    __uint(value_size, sizeof(u32));
};
#define MAP_OF_MAPS(inner)                                                                                             \
    struct {                                                                                                           \
        __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                                                                      \
        __uint(max_entries, ARBITER_POLICIES);                                                                         \
        __type(key, u32);                                                                                              \
        __array(values, struct inner);                                                                                 \
    }
MAP_OF_MAPS(base_map) policy_base SEC(".maps");
MAP_OF_MAPS(hotfix_map) policy_hotfix SEC(".maps");
MAP_OF_MAPS(key_map) policy_exact SEC(".maps");
MAP_OF_MAPS(key_map) policy_whitelist SEC(".maps");

// Rings are a sandbox's own: its supervisor makes them, enters them and is the only reader.
struct alert_ring {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, ARBITER_ALERT_BYTES);
};
struct trace_ring {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, ARBITER_TRACE_BYTES);
};
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, ARBITER_SANDBOXES);
    __type(key, u32);
    __array(values, struct alert_ring);
} alerts SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, ARBITER_SANDBOXES);
    __type(key, u32);
    __array(values, struct trace_ring);
} traces SEC(".maps");

#endif
