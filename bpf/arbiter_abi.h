// What the kernel programs and the supervisor share: values of the maps and records of the rings. Included by the
// programs (bpf target), by the C shim and, through it, by Swift; both sides assert the sizes.
#ifndef MIS_ARBITER_ABI_H
#define MIS_ARBITER_ABI_H

#ifdef __bpf__
#define ARBITER_U8 __u8
#define ARBITER_U16 __u16
#define ARBITER_U32 __u32
#define ARBITER_U64 __u64
#else
#include <stdint.h>
#define ARBITER_U8 uint8_t
#define ARBITER_U16 uint16_t
#define ARBITER_U32 uint32_t
#define ARBITER_U64 uint64_t
#endif

// A filter of the threat policy without its bits: struct policy_filter of policy_key.h. Here as words, so that Swift
// knows that structure from one module only.
#ifdef __bpf__
#include "policy_key.h"
typedef struct policy_filter arbiter_filter;
#else
typedef struct {
    uint64_t word[10];
} arbiter_filter;
#endif

// Raised with every change of a layout below.
#define ARBITER_VERSION 4

enum {
    ARBITER_SANDBOXES = 4096,
    ARBITER_FILTER_WORDS = 1024,
    ARBITER_LABELS = 262144,
    ARBITER_NAMES = 16384,
    ARBITER_NAME_BYTES = 64,
    ARBITER_NAME_DEPTH = 4,
    ARBITER_WALK_STEPS = 64,
    // A path in a record: its bytes, those of one part, and steps to its root, hops over mounts among them.
    ARBITER_PATH_BYTES = 512,
    ARBITER_PATH_PART_BYTES = 64,
    ARBITER_PATH_STEPS = 28,
    ARBITER_ALERT_BYTES = 65536,
    ARBITER_TRACE_BYTES = 524288,
    // Places whose rings stay for the next sandbox there: a ring entered or taken out waits for every reader in the
    // kernel, milliseconds each.
    ARBITER_KEPT_RINGS = 16,
    // Folders with a remembered verdict, and files one was lent to lately.
    ARBITER_FOLDERS = 16384,
    ARBITER_LENT_LATELY = 8192,
    ARBITER_LINKS = 96,
    ARBITER_LINK_BYTES = 32,
    // Threat policies in the kernel at a time: what is in force, a canary, and what is being replaced.
    ARBITER_POLICIES = 8,
    ARBITER_POLICY_NUMBER = 0xff,
    ARBITER_BASE_BYTES = 1 << 21,
    ARBITER_HOTFIX_BYTES = 1 << 19,
};

// What a rule grants, and what an operation wants.
enum arbiter_right {
    ARBITER_READ = 1,
    ARBITER_WRITE = 2,
    ARBITER_EXECUTE = 4,
    ARBITER_CONNECT = 8,
};

enum arbiter_state {
    ARBITER_FREE = 0,
    // The trusted set-up runs in the cgroup. The first exec ends this state, in the kernel.
    ARBITER_SETUP = 1,
    ARBITER_ARMED = 2,
};

enum arbiter_flag {
    // Denials are reported, not made.
    ARBITER_LEARN = 1 << 0,
    // Allowed operations go to the trace ring.
    ARBITER_TRACE = 1 << 1,
    ARBITER_ALLOW_PTRACE = 1 << 2,
    ARBITER_ALLOW_USERNS = 1 << 3,
    ARBITER_ALLOW_MOUNT = 1 << 4,
    ARBITER_ALLOW_MEMFD_EXEC = 1 << 5,
    ARBITER_REFUSE_WRITE_EXECUTE = 1 << 6,
    ARBITER_ALLOW_INET = 1 << 7,
    ARBITER_ALLOW_IO_URING = 1 << 8,
    // Code whose digest cannot be had is not started or mapped, where the threat policy knows digests.
    ARBITER_REFUSE_UNHASHED = 1 << 9,
    // Rights were taken away: descriptors opened before are judged when they are used.
    ARBITER_REVOKED = 1 << 10,
};

enum arbiter_operation {
    ARBITER_OP_OPEN = 1,
    ARBITER_OP_CREATE,
    ARBITER_OP_MKDIR,
    ARBITER_OP_MKNOD,
    ARBITER_OP_SYMLINK,
    ARBITER_OP_LINK,
    ARBITER_OP_UNLINK,
    ARBITER_OP_RMDIR,
    ARBITER_OP_RENAME,
    ARBITER_OP_TRUNCATE,
    ARBITER_OP_CHMOD,
    ARBITER_OP_CHOWN,
    ARBITER_OP_SETATTR,
    ARBITER_OP_XATTR,
    ARBITER_OP_MAP,
    ARBITER_OP_PROTECT_MEMORY,
    ARBITER_OP_IOCTL,
    ARBITER_OP_RECEIVE,
    ARBITER_OP_WATCH,
    // Reading or writing through a descriptor that is open already.
    ARBITER_OP_USE,
    ARBITER_OP_EXEC = 32,
    ARBITER_OP_CREDENTIALS,
    ARBITER_OP_PTRACE = 48,
    ARBITER_OP_SIGNAL,
    ARBITER_OP_USERNS,
    ARBITER_OP_SCHEDULE,
    ARBITER_OP_CHROOT,
    ARBITER_OP_MOUNT = 64,
    ARBITER_OP_UMOUNT,
    ARBITER_OP_REMOUNT,
    ARBITER_OP_PIVOT,
    ARBITER_OP_MOVE_MOUNT,
    ARBITER_OP_FSCONFIG,
    ARBITER_OP_SOCKET = 80,
    ARBITER_OP_BIND,
    ARBITER_OP_LISTEN,
    ARBITER_OP_CONNECT,
    ARBITER_OP_SEND,
    ARBITER_OP_UNIX_CONNECT,
    ARBITER_OP_UNIX_SEND,
    ARBITER_OP_BPF = 96,
    ARBITER_OP_PERF,
    ARBITER_OP_MODULE,
    ARBITER_OP_KERNEL_READ,
    ARBITER_OP_LOCKDOWN,
    ARBITER_OP_KEY,
    ARBITER_OP_SYSLOG,
    ARBITER_OP_CLOCK,
    ARBITER_OP_IO_URING,
    ARBITER_OP_USERFAULTFD,
    ARBITER_OP_QUOTA,
};

enum arbiter_verdict {
    ARBITER_ALLOWED = 0,
    ARBITER_DENIED = 1,
    // Would have been denied; the sandbox learns.
    ARBITER_TRACED = 2,
};

// What decided: the rules of the profile, or a layer of the threat policy.
enum arbiter_layer {
    ARBITER_LAYER_RULES = 0,
    ARBITER_LAYER_WHITELIST = 1,
    ARBITER_LAYER_HOTFIX = 2,
    ARBITER_LAYER_BASE = 3,
};

// How long a remembered verdict is used, by what it is used for.
enum arbiter_lifetime {
    ARBITER_LIFETIME_OPEN,
    ARBITER_LIFETIME_EXECUTE,
    ARBITER_LIFETIME_USE,
    ARBITER_LIFETIMES,
};

// Per sandbox and CPU.
enum arbiter_counter {
    ARBITER_COUNT_ALLOWED,
    ARBITER_COUNT_DENIED,
    ARBITER_COUNT_TRACED,
    ARBITER_COUNT_CACHE_HIT,
    ARBITER_COUNT_CACHE_MISS,
    ARBITER_COUNT_UNCACHED,
    ARBITER_COUNT_ALERTS_SENT,
    ARBITER_COUNT_ALERTS_LOST,
    ARBITER_COUNT_TRACES_SENT,
    ARBITER_COUNT_TRACES_LOST,
    ARBITER_COUNT_REPEATS,
    // A kernel object could not be read, a map was full, a tree would not hold still: the answer was deny.
    ARBITER_COUNT_FAILED_CLOSED,
    // Denied by a layer of the threat policy; these are among the denied, too.
    ARBITER_COUNT_THREATS,
    // Code that was started or mapped although its digest could not be had.
    ARBITER_COUNT_UNHASHED,
    // Allowed on the verdict of the folder it lies in; not among the hits, which are on the object's own.
    ARBITER_COUNT_FOLDER_HIT,
    ARBITER_COUNTERS,
};

struct arbiter_counters {
    ARBITER_U64 value[ARBITER_COUNTERS];
};

struct arbiter_sandbox {
    ARBITER_U64 cgroup;
    ARBITER_U64 session;
    // Bit n: there is a name rule whose last part is n bytes long.
    ARBITER_U64 name_lengths;
    // Bit n: sockets of address family n may be made.
    ARBITER_U64 families;
    ARBITER_U64 owner_start;
    ARBITER_U32 owner_pid;
    ARBITER_U32 state;
    ARBITER_U32 flags;
    // Rights on what no rule names.
    ARBITER_U32 default_rights;
    // Rights on what has no place in the tree: pipes, memfds.
    ARBITER_U32 anonymous_rights;
    ARBITER_U32 level;
    // Under which threat policy: its number and one in ARBITER_POLICY_NUMBER, 0 for none. Above that, how often this
    // was changed: who finds the same word before and after has seen one policy, whole.
    ARBITER_U32 policy;
    // Seconds; 0: nothing is remembered.
    ARBITER_U32 lifetime[ARBITER_LIFETIMES];
    // Its cgroup is no more, or its supervisor is taking it out: what is left is for whoever collects.
    ARBITER_U32 gone;
    ARBITER_U32 unused;
};

struct arbiter_policy {
    arbiter_filter whitelist;
    arbiter_filter hotfix;
    arbiter_filter base;
    // The loader's name for the whole of it; 0: this place is free.
    ARBITER_U64 identity;
    // Sandboxes that use it.
    ARBITER_U64 users;
};

struct arbiter_label_key {
    ARBITER_U32 slot;
    ARBITER_U32 unused;
    // The kernel's address of the inode, held in place by the descriptor it was labelled through.
    ARBITER_U64 inode;
};

struct arbiter_label {
    // What the inode was when it was labelled: a reused address does not inherit a label.
    ARBITER_U64 number;
    ARBITER_U32 device;
    ARBITER_U32 generation;
    ARBITER_U32 rights;
    ARBITER_U32 rule;
};

// What a descriptor stands for, as only the kernel knows it: where its inode is, and what tells it from a later one
// there.
struct arbiter_object {
    ARBITER_U64 inode;
    ARBITER_U64 number;
    ARBITER_U32 descriptor;
    ARBITER_U32 device;
    ARBITER_U32 generation;
    ARBITER_U32 unused;
};

struct arbiter_folder_key {
    // The kernel's address of the inode.
    ARBITER_U64 inode;
    // One of four, by the cgroup's number.
    ARBITER_U64 place;
};

// What a walk from a folder finds: 56 bits say for whom and in which state of the tree, 8 bits what is granted.
struct arbiter_folder {
    ARBITER_U64 word;
    // Seconds of `arbiter_tree.now` until which it counts, by what it is used for.
    ARBITER_U32 until[ARBITER_LIFETIMES];
    ARBITER_U32 rule;
};

// Name rules are a tree read from the last part of a path to the first: (sandbox, node, part) leads to the next node.
struct arbiter_name_key {
    ARBITER_U32 slot;
    ARBITER_U32 node;
    ARBITER_U32 length;
    char name[ARBITER_NAME_BYTES];
};

enum arbiter_name_flag {
    ARBITER_NAME_ANYWHERE = 1,
    ARBITER_NAME_ANCHORED = 2,
    // A part on the way to a protected name: may be made, but nothing ready-made may be put there.
    ARBITER_NAME_ON_THE_WAY = 4,
};

struct arbiter_name {
    ARBITER_U32 node;
    ARBITER_U32 flags;
    ARBITER_U32 rights;
    ARBITER_U32 rule;
};

struct arbiter_anchor_key {
    ARBITER_U32 slot;
    ARBITER_U32 node;
    ARBITER_U64 inode;
};

struct arbiter_anchor {
    ARBITER_U64 number;
    ARBITER_U32 device;
    ARBITER_U32 generation;
    ARBITER_U32 rights;
    ARBITER_U32 rule;
    ARBITER_U32 flags;
    ARBITER_U32 unused;
};

struct arbiter_address_key {
    // Bits of what follows that count: 32 for the slot, then those of the address.
    ARBITER_U32 prefix;
    ARBITER_U32 slot;
    // IPv4 as ::ffff:a.b.c.d.
    ARBITER_U8 address[16];
};

struct arbiter_address {
    ARBITER_U32 allowed;
    ARBITER_U16 first_port;
    ARBITER_U16 last_port;
    ARBITER_U32 rule;
    ARBITER_U32 unused;
};

struct arbiter_event {
    ARBITER_U16 version;
    ARBITER_U16 size;
    ARBITER_U16 operation;
    ARBITER_U8 verdict;
    // Parts of the path in `path`, from the last one up, each ended by a zero byte.
    ARBITER_U8 path_parts;
    // Monotonic nanoseconds.
    ARBITER_U64 time;
    ARBITER_U64 session;
    ARBITER_U64 cgroup;
    ARBITER_U64 inode;
    ARBITER_U32 device;
    ARBITER_U32 pid;
    ARBITER_U32 tid;
    ARBITER_U32 uid;
    ARBITER_U32 parent;
    ARBITER_U32 wanted;
    ARBITER_U32 rights;
    ARBITER_U32 rule;
    // Of the same kind, not sent one by one since the last record of this kind.
    ARBITER_U32 repeats;
    ARBITER_U16 port;
    ARBITER_U8 path_cut;
    ARBITER_U8 level;
    // Signal, socket family, ioctl, protocol, lockdown reason: as the operation has it.
    ARBITER_U64 detail;
    ARBITER_U8 address[16];
    // The threat policy's key that decided, under the secret of its layer's filter.
    ARBITER_U64 key[2];
    ARBITER_U8 layer;
    // enum policy_kind
    ARBITER_U8 kind;
    ARBITER_U8 unused[6];
    char command[16];
    char path[ARBITER_PATH_BYTES];
};

// A key for ask_policy. `policy` as in a sandbox's entry.
struct arbiter_question {
    ARBITER_U32 policy;
    ARBITER_U32 kind;
    ARBITER_U32 operation;
    ARBITER_U32 words;
    ARBITER_U64 details;
    ARBITER_U64 value[4];
    ARBITER_U64 key[2];
    ARBITER_U32 layer;
    ARBITER_U32 unused;
};

struct arbiter_repeat_key {
    // The sandbox's own. Not its slot, which is used again: a cgroup's number is not.
    ARBITER_U64 cgroup;
    ARBITER_U64 object;
    // Operation, rights wanted, verdict and detail, mixed: two kinds that fall together are told as one.
    ARBITER_U64 kind;
};

struct arbiter_repeat {
    ARBITER_U64 since;
    ARBITER_U64 suppressed;
};

// What every program looks at first; in memory the supervisor maps too.
struct arbiter_registry {
    ARBITER_U32 version;
    ARBITER_U32 sandboxes;
    // A child of a sandbox's cgroup found no room in `cgroups`: look at the cgroups above, too.
    ARBITER_U32 crowded;
    // Programs that stay attached while these maps are; their names are in `link`.
    ARBITER_U32 links;
    // Sandboxes with rights taken away: while there is one, the uses of open files are judged.
    ARBITER_U32 revoked;
    // Cgroups were made below a sandbox's.
    ARBITER_U32 nested;
    // Secrets that make cached verdicts unguessable; set once before any sandbox is there.
    ARBITER_U64 secret[8];
    // A bit for every cgroup of a sandbox: no bit, not inside. A bit may also mean nothing.
    ARBITER_U64 filter[ARBITER_FILTER_WORDS];
    char link[ARBITER_LINKS][ARBITER_LINK_BYTES];
    // The program each of them holds, by the kernel's number for it.
    ARBITER_U32 program[ARBITER_LINKS];
};

// Changed by the kernel when a folder has moved, by the supervisor when a rule has: older verdicts are void.
struct arbiter_tree {
    ARBITER_U64 generation;
    // Renames of folders under way: nothing cached counts meanwhile.
    ARBITER_U64 moving;
    ARBITER_U64 begun;
    // Monotonic seconds, as last seen by a walk or a supervisor: what the age of a verdict is measured by.
    ARBITER_U64 now;
    // Nanoseconds from the time since boot to the wall clock, which change times of files are in.
    ARBITER_U64 wall_offset;
};

#define ARBITER_SAME(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
ARBITER_SAME(arbiter_sandbox, 88);
ARBITER_SAME(arbiter_policy, 256);
ARBITER_SAME(arbiter_label_key, 16);
ARBITER_SAME(arbiter_label, 24);
ARBITER_SAME(arbiter_object, 32);
ARBITER_SAME(arbiter_folder_key, 16);
ARBITER_SAME(arbiter_folder, 24);
ARBITER_SAME(arbiter_name_key, 76);
ARBITER_SAME(arbiter_anchor_key, 16);
ARBITER_SAME(arbiter_anchor, 32);
ARBITER_SAME(arbiter_address_key, 24);
ARBITER_SAME(arbiter_event, 656);
ARBITER_SAME(arbiter_counters, 120);

#endif
