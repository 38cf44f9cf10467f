// Content of code: its SHA-256 is asked of the threat policy before the first instruction of it runs, however it is
// called or reached. Programs, scripts, interpreters and memfds pass exec_digest; the ELF loader and libraries
// map_digest.
//
// The kernel's integrity subsystem reads the file for this, so a digest is kept with the inode. It is believed only as
// long as any change of the content would show: made when nobody had the file open for writing and its change time was
// past, on a file system that moves the change time with every way of writing, mapped memory included. Elsewhere
// (tmpfs, memfds, overlays) the content is hashed each time.
#include "events.h"

#define EXT4_MAGIC 0xEF53
#define XFS_MAGIC 0x58465342
#define BTRFS_MAGIC 0x9123683E
#define HASH_SHA256 4
#define VM_EXEC 4
// A change within the same tick as the digest would leave the change time as it is.
#define SETTLED_SECONDS 2

// Where the change time is: i_ctime up to 6.5, __i_ctime up to 6.10, two fields since.
struct inode___old {
    struct timespec64 i_ctime;
} __attribute__((preserve_access_index));
struct inode___middle {
    struct timespec64 __i_ctime;
} __attribute__((preserve_access_index));
struct inode___new {
    s64 i_ctime_sec;
    u32 i_ctime_nsec;
} __attribute__((preserve_access_index));

// What the digest goes by. Returns whether it may be kept.
static __always_inline int look_at(struct inode *inode, struct digest *seen, u64 now) {
    struct super_block *block = 0;
    unsigned long magic = 0;
    int writers = 0;
    u32 nanoseconds = 0;
    READ(block, inode->i_sb);
    READ(magic, block->s_magic);
    READ(writers, inode->i_writecount.counter);
    READ(seen->size, inode->i_size);
    if (bpf_core_field_exists(((struct inode___new *)0)->i_ctime_sec)) {
        READ(seen->seconds, ((struct inode___new *)inode)->i_ctime_sec);
        READ(nanoseconds, ((struct inode___new *)inode)->i_ctime_nsec);
        seen->nanoseconds = nanoseconds;
    } else if (bpf_core_field_exists(((struct inode___middle *)0)->__i_ctime)) {
        READ(seen->seconds, ((struct inode___middle *)inode)->__i_ctime.tv_sec);
        READ(seen->nanoseconds, ((struct inode___middle *)inode)->__i_ctime.tv_nsec);
    } else {
        READ(seen->seconds, ((struct inode___old *)inode)->i_ctime.tv_sec);
        READ(seen->nanoseconds, ((struct inode___old *)inode)->i_ctime.tv_nsec);
    }
    return writers <= 0 && (magic == EXT4_MAGIC || magic == XFS_MAGIC || magic == BTRFS_MAGIC) &&
           seen->seconds + SETTLED_SECONDS < now;
}

static __always_inline int same_content(const struct digest *kept, const struct digest *seen) {
    return kept->seconds == seen->seconds && kept->nanoseconds == seen->nanoseconds && kept->size == seen->size;
}

// The wall clock in seconds, which change times are in: the kernel has no helper for it that programs of this kind may
// call, so the registry holds what to add to the monotonic clock. A wrong one only makes digests be kept or not.
static __always_inline u64 wall_seconds(void) {
    return (bpf_ktime_get_boot_ns() + tree.wall_offset) / 1000000000;
}

// Asks the policy about a digest.
static __noinline int digest_threatens(struct question *asked, u32 policy, const struct digest *digest) {
    if (!asked || !digest)
        return 1;
    struct subject subject = {
        .kind = POLICY_DIGEST, .operation = POLICY_EXECUTE, .words = 4, .policy = policy_place(policy)};
    __builtin_memcpy(subject.value, digest->word, sizeof(subject.value));
    ask_key(&subject);
    return note_layer(asked, &subject);
}

static __always_inline int knows_digests(u32 policy) {
    u32 number = policy_place(policy);
    struct arbiter_policy *all = bpf_map_lookup_elem(&policies, &number);
    return all && (all->hotfix.kinds | all->base.kinds) >> POLICY_DIGEST & 1;
}

// Code whose digest cannot be had.
static __always_inline int judge_unhashed(struct question *asked, u32 flags) {
    if (!(flags & ARBITER_REFUSE_UNHASHED)) {
        count(asked->slot, ARBITER_COUNT_UNHASHED);
        return 0;
    }
    count(asked->slot, ARBITER_COUNT_FAILED_CLOSED);
    return judge_deed(asked, 1) ? -EACCES : 0;
}

static __always_inline int judge_code(struct file *file, struct question *asked) {
    u32 slot = asked->slot;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!sandbox || sandbox->state != ARBITER_ARMED || !UNDER_ONE_POLICY(asked, sandbox, knows_digests(policy)))
        return 0;
    struct inode *inode = file->f_inode;
    if (!inode)
        return -EACCES;
    struct digest seen = {};
    int keep = look_at(inode, &seen, wall_seconds());
    u64 size = seen.size, seconds = seen.seconds, nanoseconds = seen.nanoseconds;
    struct digest *kept = bpf_inode_storage_get(&digests, inode, 0, 0);
    if (kept && keep && same_content(kept, &seen)) {
        __builtin_memcpy(seen.word, kept->word, sizeof(seen.word));
    } else {
        if (bpf_ima_file_hash(file, seen.word, sizeof(seen.word)) != HASH_SHA256)
            return judge_unhashed(asked, sandbox->flags);
        // Only if it was not changed while it was read.
        if (keep && look_at(inode, &seen, wall_seconds()) && seen.size == size && seen.seconds == seconds &&
            seen.nanoseconds == nanoseconds) {
            if (kept)
                bpf_inode_storage_delete(&digests, inode);
            bpf_inode_storage_get(&digests, inode, &seen, BPF_LOCAL_STORAGE_GET_F_CREATE);
        }
    }
    int refused = UNDER_ONE_POLICY(asked, sandbox, digest_threatens(asked, policy, &seen));
    return refused && judge_deed(asked, 1) ? -EACCES : 0;
}

SEC("lsm.s/bprm_check_security")
int BPF_PROG(exec_digest, struct linux_binprm *program) {
    struct question asked = {.slot = caller(), .operation = ARBITER_OP_EXEC, .wanted = ARBITER_EXECUTE};
    if (!asked.slot)
        return 0;
    struct file *file = program->file;
    if (!file)
        return -EACCES;
    struct file *same = 0;
    READ(same, program->file);
    READ(asked.dentry, same->f_path.dentry);
    READ(asked.mount, same->f_path.mnt);
    return judge_code(file, &asked);
}

SEC("lsm.s/mmap_file")
int BPF_PROG(map_digest, struct file *file, unsigned long asked_for, unsigned long protection, unsigned long flags) {
    // Memory without a file; why it is asked twice is said at mmap_file.
    struct file *same = (struct file *)ARGUMENT(0);
    if (!same || !file || !(protection & PROT_EXEC))
        return 0;
    struct question asked = {.slot = caller(), .operation = ARBITER_OP_MAP, .wanted = ARBITER_EXECUTE};
    if (!asked.slot)
        return 0;
    READ(asked.dentry, same->f_path.dentry);
    READ(asked.mount, same->f_path.mnt);
    return judge_code(file, &asked);
}

// A mapping made code after it was made: no hook may read the file then, so what was not code before has no digest.
SEC("lsm/file_mprotect")
int BPF_PROG(protect_digest, struct vm_area_struct *area, unsigned long asked_for, unsigned long protection) {
    if (!(protection & PROT_EXEC))
        return 0;
    struct question asked = {.slot = caller(), .operation = ARBITER_OP_PROTECT_MEMORY, .wanted = ARBITER_EXECUTE};
    u32 slot = asked.slot;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    struct file *file = 0;
    unsigned long was = 0;
    READ(file, area->vm_file);
    READ(was, area->vm_flags);
    if (!slot || !sandbox || sandbox->state != ARBITER_ARMED || !file || was & VM_EXEC ||
        !UNDER_ONE_POLICY(&asked, sandbox, knows_digests(policy)))
        return 0;
    READ(asked.dentry, file->f_path.dentry);
    READ(asked.mount, file->f_path.mnt);
    return judge_unhashed(&asked, sandbox->flags);
}
