// Files: what may be opened, made, changed, moved, mapped and received.
#include "remembered.h"

#define FMODE_READ 1
#define FMODE_WRITE 2
#define FMODE_EXEC 32
#define PROT_WRITE 2
#define PROT_EXEC 4
#define RENAME_EXCHANGE 2
#define TIOCSTI 0x5412
#define TIOCLINUX 0x541C

// A file that memory did not answer for: it is asked about in its folder's verdict, and else a walk answers. `still`:
// no folder was being moved, and the file is its name's own.
//
// What is kept on the file goes by its name and folder: neither may have changed from before they are taken into the
// mark until after the verdict, or what was found in one folder would be kept for another.
static __noinline int judge_anew(const u64 *ctx, u64 cgroup, u64 generation, u32 still, u32 kind) {
    u32 slot = slot_here(cgroup);
    if (!slot)
        return 0;
    struct file *file = (struct file *)ctx[0];
    struct question asked = {.slot = slot, .operation = kind >> 8, .wanted = kind & 0xff};
    u64 address = ARGUMENT(0);
    bpf_probe_read_kernel(&asked.dentry, sizeof(asked.dentry),
                          (void *)address + __builtin_preserve_field_info(((struct file *)0)->f_path.dentry, 0));
    bpf_probe_read_kernel(&asked.mount, sizeof(asked.mount),
                          (void *)address + __builtin_preserve_field_info(((struct file *)0)->f_path.mnt, 0));
    if (!file || !asked.dentry || !asked.mount)
        return -EACCES;
    u32 turn = turn_of(asked.dentry);
    u64 word = 0;
    asm volatile("" : : : "memory");
    if (still && is_lone(file->f_inode))
        word = mark(cgroup, generation, file->f_inode, file->f_path.dentry, file->f_path.mnt, 0);
    int lending = still ? lent(ctx, cgroup, generation, &asked) : LENT_NOTHING;
    if (lending == LENT_UNKNOWN) {
        if (ruleless_folder(&asked) && inherit(ctx, cgroup, generation, &asked)) {
            lending = lent(ctx, cgroup, generation, &asked);
        } else if (keep_folder(ctx, cgroup, generation, &asked, folder_answer(&asked))) {
            lending = lent(ctx, cgroup, generation, &asked);
            // It is no hit what was walked for.
            asked.answer |= ANSWER_FRESH;
        }
    }
    asked.key[0] = asked.key[1] = 0;
    if (asked.answer & ANSWER_LENT && has_turned(asked.dentry, turn)) {
        asked.answer = 0;
        lending = LENT_NOTHING;
    }
    int result = lending == LENT_ALL ? 0 : judge(&asked);
    if (!result && (asked.answer & (ANSWER_LENT | ANSWER_FRESH)) == ANSWER_LENT) {
        count(asked.slot, ARBITER_COUNT_FOLDER_HIT);
    } else {
        count(asked.slot, word ? ARBITER_COUNT_CACHE_MISS : ARBITER_COUNT_UNCACHED);
        if (!result && asked.answer & ANSWER_LENT)
            count(asked.slot, ARBITER_COUNT_ALLOWED);
    }
    if (word && asked.armed && !(asked.answer & ANSWER_FLEETING) && !has_turned(asked.dentry, turn))
        keep_verdict(ctx, cgroup, generation, word, &asked);
    return result;
}

// An open file, judged on the inode that was really opened. Warm: one look into the inode's own storage. A verdict is
// remembered only for a file with one name, and only when the walk that made it stayed inside one mount.
//
// On the way of every open of the machine, so it does nothing here that only a walk needs.
static __always_inline int judge_file_of(u64 cgroup, const u64 *ctx, struct file *file, u32 wanted, u32 operation) {
    struct inode *inode = file->f_inode;
    struct dentry *dentry = file->f_path.dentry;
    if (!inode)
        return -EACCES;
    // Read before the walk: what is stored under an older generation is never found again.
    u64 generation = tree.generation;
    // The second object of an overlay's file is opened under the overlay's name: its verdict is not its own.
    u32 still = !tree.moving && dentry->d_inode == inode;
    if (still && is_lone(inode)) {
        u64 word = mark(cgroup, generation, inode, dentry, file->f_path.mnt, 0);
        struct verdicts *all = bpf_inode_storage_get(&verdict_cache, inode, 0, 0);
        if (all) {
            struct verdict *known = &all->of[cgroup & 3];
            u64 seen = known->word;
            if ((seen & ~0xffULL) == word && !(wanted & ~seen) &&
                (int)(known->until[lifetime_of(operation, wanted)] - (u32)tree.now) > 0) {
                struct arbiter_counters *mine = bpf_map_lookup_elem(&counters, &known->slot);
                if (mine)
                    mine->value[ARBITER_COUNT_CACHE_HIT]++;
                return 0;
            }
        }
    }
    return judge_anew(ctx, cgroup, generation, still, wanted | operation << 8);
}

static __always_inline int judge_file(const u64 *ctx, struct file *file, u32 wanted, u32 operation) {
    u64 cgroup = 0;
    return inside_in_rcu(&cgroup) ? judge_file_of(cgroup, ctx, file, wanted, operation) : 0;
}

// Every open of anything with content (O_PATH has none: its use is judged when it is opened again). Attacks C019 to
// C030, C034 to C038, C048 to C051: swapped names, links, descriptors opened twice, evicted or expired verdicts.
SEC("lsm/file_open")
int BPF_PROG(file_open, struct file *file) {
    u64 cgroup = 0;
    if (!inside_in_rcu(&cgroup))
        return 0;
    u32 mode = file->f_mode;
    u32 wanted = file->f_flags & FMODE_EXEC
                     ? ARBITER_EXECUTE
                     : (mode & FMODE_READ ? ARBITER_READ : 0) | (mode & FMODE_WRITE ? ARBITER_WRITE : 0);
    // Access mode 3 opens for neither, only for ioctl: as good as reading.
    return judge_file_of(cgroup, ctx, file, wanted ? wanted : ARBITER_READ, ARBITER_OP_OPEN);
}

// A descriptor that comes in through a socket (SCM_RIGHTS) or pidfd_getfd gives what opening it would have given.
SEC("lsm/file_receive")
int BPF_PROG(file_receive, struct file *file) {
    u32 mode = file->f_mode;
    u32 wanted = (mode & FMODE_READ ? ARBITER_READ : 0) | (mode & FMODE_WRITE ? ARBITER_WRITE : 0);
    return judge_file(ctx, file, wanted ? wanted : ARBITER_READ, ARBITER_OP_RECEIVE);
}

// Memory without a file that is to be written and executed. Apart from what has one: the stack is short there.
static __noinline int judge_memory(u64 protection) {
    u32 slot = protection & PROT_WRITE ? caller() : 0;
    if (!slot || !(sandbox_flags(slot) & ARBITER_REFUSE_WRITE_EXECUTE))
        return 0;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_MAP, .wanted = ARBITER_EXECUTE};
    return judge_deed(&asked, 1);
}

// Code enters a process by mapping too, not only by execve (C055); and by turning data into code (C056).
SEC("lsm/mmap_file")
int BPF_PROG(mmap_file, struct file *file, unsigned long asked_for, unsigned long protection, unsigned long flags) {
    if (!(protection & PROT_EXEC))
        return 0;
    // Asked of the number too: 6.12 believes that a hook's argument is never null and leaves a test of the pointer out;
    // later kernels want to see that test.
    u64 address = ARGUMENT(0);
    if (!address || !file)
        return judge_memory(protection);
    return judge_file(ctx, file, ARBITER_EXECUTE, ARBITER_OP_MAP);
}

SEC("lsm/file_mprotect")
int BPF_PROG(file_mprotect, struct vm_area_struct *area, unsigned long asked_for, unsigned long protection) {
    if (!(protection & PROT_EXEC))
        return 0;
    u32 slot = caller();
    if (!slot)
        return 0;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_PROTECT_MEMORY, .wanted = ARBITER_EXECUTE};
    struct file *file = 0;
    READ(file, area->vm_file);
    if (!file)
        return judge_deed(&asked, sandbox_flags(slot) & ARBITER_REFUSE_WRITE_EXECUTE);
    READ(asked.dentry, file->f_path.dentry);
    READ(asked.mount, file->f_path.mnt);
    return judge(&asked);
}

// --- changes to the tree --------------------------------------------------------------------------------------------

// Something is made, removed or replaced under the name `dentry` in a folder: the name must be writable and, unless a
// name rule spoke, the folder too.
static __always_inline int judge_entry(struct question *asked, u64 address) {
    asked->dentry = address;
    int result = judge(asked);
    if (result || !(asked->answer & ANSWER_OWN) || asked->answer & ANSWER_NAMED)
        return result;
    struct dentry *dentry = (struct dentry *)address;
    READ(asked->dentry, dentry->d_parent);
    return judge(asked);
}

// A folder or a symlink put where a protected name passes through would bring its own content along:
// x/hooks/pre-commit made first, then x renamed to .git. Nothing ready-made goes there.
static __always_inline int judge_ready_made(struct question *asked, u64 dentry) {
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &asked->slot);
    if (!sandbox || !sandbox->name_lengths)
        return 0;
    u32 answer = named(asked->slot, dentry, 1);
    if (!answer)
        return 0;
    asked->dentry = dentry;
    asked->answer = answer & ~ARBITER_WRITE;
    return judge_deed(asked, 1) ? -EACCES : 0;
}

static __always_inline int judge_change(u32 operation, u64 dentry, u64 mount) {
    struct question asked = {.slot = caller(), .operation = operation, .wanted = ARBITER_WRITE, .mount = mount};
    return asked.slot ? judge_entry(&asked, dentry) : 0;
}

static __always_inline u64 mount_of(const struct path *path) {
    u64 mount = 0;
    READ(mount, path->mnt);
    return mount;
}

static __always_inline u64 dentry_of(const struct path *path) {
    u64 dentry = 0;
    READ(dentry, path->dentry);
    return dentry;
}

// Creation by open, mknod, bind of a unix socket (C022: through a dangling link; C195: a protected name that is not
// there yet). A device node is refused whatever the rules say (C009).
SEC("lsm/path_mknod")
int BPF_PROG(path_mknod, const struct path *folder, struct dentry *dentry, unsigned short mode, unsigned int device) {
    u32 slot = caller();
    if (!slot)
        return 0;
    u32 kind = mode & S_IFMT;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_CREATE, .wanted = ARBITER_WRITE};
    asked.mount = mount_of(folder);
    // A whiteout (character 0:0) is no door to a device.
    if ((kind == 0020000 || kind == 0060000) && device) {
        asked.operation = ARBITER_OP_MKNOD;
        asked.detail = mode;
        asked.dentry = ARGUMENT(1);
        return judge_deed(&asked, 1);
    }
    return judge_entry(&asked, ARGUMENT(1));
}

SEC("lsm/path_mkdir")
int BPF_PROG(path_mkdir, const struct path *folder, struct dentry *dentry) {
    return caller_cgroup() ? judge_change(ARBITER_OP_MKDIR, ARGUMENT(1), mount_of(folder)) : 0;
}

SEC("lsm/path_symlink")
int BPF_PROG(path_symlink, const struct path *folder, struct dentry *dentry) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_SYMLINK, .wanted = ARBITER_WRITE};
    asked.mount = mount_of(folder);
    u64 name = ARGUMENT(1);
    int result = judge_entry(&asked, name);
    return result ? result : judge_ready_made(&asked, name);
}

SEC("lsm/path_unlink")
int BPF_PROG(path_unlink, const struct path *folder, struct dentry *dentry) {
    return caller_cgroup() ? judge_change(ARBITER_OP_UNLINK, ARGUMENT(1), mount_of(folder)) : 0;
}

SEC("lsm/path_rmdir")
int BPF_PROG(path_rmdir, const struct path *folder, struct dentry *dentry) {
    return caller_cgroup() ? judge_change(ARBITER_OP_RMDIR, ARGUMENT(1), mount_of(folder)) : 0;
}

// A second name must not lend rights: whoever links a file must be allowed to write it where it is (C031).
SEC("lsm/path_link")
int BPF_PROG(path_link, struct dentry *old, const struct path *folder, struct dentry *dentry) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_LINK, .wanted = ARBITER_WRITE};
    asked.dentry = ARGUMENT(0);
    asked.mount = mount_of(folder);
    int result = judge(&asked);
    return result ? result : judge_entry(&asked, ARGUMENT(2));
}

SEC("lsm/path_rename")
int BPF_PROG(path_rename, const struct path *old_folder, struct dentry *old, const struct path *new_folder,
             struct dentry *new, unsigned int flags) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_RENAME, .wanted = ARBITER_WRITE};
    asked.mount = mount_of(old_folder);
    u64 from = ARGUMENT(1), to = ARGUMENT(3);
    int result = judge_entry(&asked, from);
    if (!result)
        result = judge_entry(&asked, to);
    if (!result)
        result = judge_ready_made(&asked, to);
    if (!result && flags & RENAME_EXCHANGE)
        result = judge_ready_made(&asked, from);
    return result;
}

// Content and attributes of what is there (C040).
static __always_inline int judge_path(const struct path *path, u32 operation) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct question asked = {.slot = slot, .operation = operation, .wanted = ARBITER_WRITE};
    asked.dentry = dentry_of(path);
    asked.mount = mount_of(path);
    return judge(&asked);
}

SEC("lsm/path_truncate")
int BPF_PROG(path_truncate, const struct path *path) {
    return judge_path(path, ARBITER_OP_TRUNCATE);
}

SEC("lsm/path_chmod")
int BPF_PROG(path_chmod, const struct path *path) {
    return judge_path(path, ARBITER_OP_CHMOD);
}

SEC("lsm/path_chown")
int BPF_PROG(path_chown, const struct path *path) {
    return judge_path(path, ARBITER_OP_CHOWN);
}

static __always_inline int judge_dentry(u64 dentry, u32 operation) {
    u32 slot = caller();
    if (!slot)
        return 0;
    // A file system at work for the caller, under credentials of its own: an overlay copying up to its layers. What the
    // caller did was judged on the overlay; here only a denial of the real object counts. io_uring's personalities
    // look the same, so a sandbox that may use it has no such exception.
    struct task_struct *task = (void *)bpf_get_current_task();
    u64 own = 0, used = 0;
    READ(own, task->real_cred);
    READ(used, task->cred);
    if (own != used && !(sandbox_flags(slot) & ARBITER_ALLOW_IO_URING) && !denied_above(slot, dentry))
        return 0;
    // These hooks know no mount. What lies above the object in its own file system is all they see.
    struct question asked = {.slot = slot, .operation = operation, .wanted = ARBITER_WRITE, .dentry = dentry};
    return judge(&asked);
}

#define ATTR_MODE 1
#define ATTR_UID 2
#define ATTR_GID 4
#define ATTR_SIZE 8
#define ATTR_FILE 0x2000

// Times. Mode, owner and size have path hooks that know the mount; the kernel's own follow-ups of a permitted write
// (ATTR_FILE, killed set-uid bits) come through here too and are not the caller's deeds.
static __always_inline int judge_attributes(u64 dentry, u64 attributes) {
    struct iattr___mis {
        unsigned int ia_valid;
    } __attribute__((preserve_access_index)) *given = (void *)attributes;
    unsigned int valid = 0;
    READ(valid, given->ia_valid);
    if (valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_SIZE | ATTR_FILE))
        return 0;
    return judge_dentry(dentry, ARBITER_OP_SETATTR);
}

// Up to 6.8 the hook has two arguments, later the mount's id map comes first; the loader takes the one that fits.
SEC("?lsm/inode_setattr")
int inode_setattr_2(unsigned long long *ctx) {
    return caller_cgroup() ? judge_attributes(ARGUMENT(0), ARGUMENT(1)) : 0;
}

SEC("?lsm/inode_setattr")
int inode_setattr_3(unsigned long long *ctx) {
    return caller_cgroup() ? judge_attributes(ARGUMENT(1), ARGUMENT(2)) : 0;
}

SEC("lsm/inode_setxattr")
int inode_setxattr(unsigned long long *ctx) {
    return caller_cgroup() ? judge_dentry(ARGUMENT(1), ARBITER_OP_XATTR) : 0;
}

SEC("lsm/inode_removexattr")
int inode_removexattr(unsigned long long *ctx) {
    return caller_cgroup() ? judge_dentry(ARGUMENT(1), ARBITER_OP_XATTR) : 0;
}

// 6.2 and later; before, access lists went through inode_setxattr.
SEC("?lsm/inode_set_acl")
int inode_set_acl(unsigned long long *ctx) {
    return caller_cgroup() ? judge_dentry(ARGUMENT(1), ARBITER_OP_XATTR) : 0;
}

// Typing into the terminal the sandbox was started from (C089 to C091, C188), and drivers the threat policy knows. The
// kernel looks at 32 bits, so do we.
static __always_inline int judge_ioctl(u32 command) {
    u32 slot = caller();
    if (!slot)
        return 0;
    u32 typing = command == TIOCSTI || command == TIOCLINUX;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!typing && !(sandbox && sandbox->policy))
        return 0;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_IOCTL, .detail = command};
    if (!typing &&
        !UNDER_ONE_POLICY(&asked, sandbox, number_threatens(&asked, policy, POLICY_IOCTL, command >> 8 & 0xff)))
        return 0;
    return judge_deed(&asked, 1);
}

SEC("lsm/file_ioctl")
int BPF_PROG(file_ioctl, struct file *file, unsigned int command) {
    return judge_ioctl(command);
}

SEC("?lsm/file_ioctl_compat")
int BPF_PROG(file_ioctl_compat, struct file *file, unsigned int command) {
    return judge_ioctl(command);
}

// Watching tells what happens to files that may not be read (C046).
SEC("lsm/path_notify")
int BPF_PROG(path_notify, const struct path *path) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_WATCH, .wanted = ARBITER_READ};
    asked.dentry = dentry_of(path);
    asked.mount = mount_of(path);
    return judge(&asked);
}

// --- what voids remembered verdicts ---------------------------------------------------------------------------------

// A folder that moves changes what is above everything in it. Renames by anybody on the machine count, so these two
// watch the kernel's one function for it instead of a hook that only some renames reach. From before the move until
// after it nothing remembered is used or stored; afterwards all that was remembered is void.
// A file that moves needs none of this: its folder and its name are part of what its verdict is stored under.
static __always_inline int moves_folder(struct renamedata *data) {
    struct dentry *old = 0, *new = 0;
    struct inode *inode = 0;
    unsigned short old_mode = 0, new_mode = 0;
    READ(old, data->old_dentry);
    READ(inode, old->d_inode);
    READ(old_mode, inode->i_mode);
    READ(new, data->new_dentry);
    inode = 0;
    READ(inode, new->d_inode);
    if (inode)
        READ(new_mode, inode->i_mode);
    return S_ISDIR(old_mode) || S_ISDIR(new_mode);
}

// The mark a rename under way leaves, so that only a move that was seen to begin is counted as ended.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 8192);
    __type(key, u64);
    __type(value, u32);
} renaming SEC(".maps");

// An inode that goes takes its folder's verdict along: its address, and even its number, are given to another.
SEC("lsm/inode_free_security")
int BPF_PROG(folder_gone, struct inode *inode) {
    if (!S_ISDIR(inode->i_mode))
        return 0;
    struct arbiter_folder_key key = {.inode = ARGUMENT(0)};
#pragma clang loop unroll(disable)
    for (int place = 0; place < 4; place++) {
        key.place = place;
        bpf_map_delete_elem(&folder_cache, &key);
    }
    return 0;
}

SEC("fentry/vfs_rename")
int BPF_PROG(rename_begins, struct renamedata *data) {
    if (!registry.sandboxes || !moves_folder(data))
        return 0;
    u64 task = bpf_get_current_pid_tgid();
    u32 one = 1;
    // Counted first: a move that cannot be noted keeps the cache off rather than wrong. As under way before as begun: a
    // walk reads these the other way round, and misses none that it is not told of afterwards.
    __sync_fetch_and_add(&tree.moving, 1);
    __sync_fetch_and_add(&tree.begun, 1);
    if (bpf_map_update_elem(&renaming, &task, &one, BPF_ANY))
        __sync_fetch_and_add(&tree.generation, 1);
    return 0;
}

SEC("fexit/vfs_rename")
int BPF_PROG(rename_ends, struct renamedata *data) {
    u64 task = bpf_get_current_pid_tgid();
    int seen = !bpf_map_delete_elem(&renaming, &task);
    // One that began before the first sandbox was there is not counted as moving, but it has moved something.
    if (!seen && !(registry.sandboxes && moves_folder(data)))
        return 0;
    __sync_fetch_and_add(&tree.generation, 1);
    if (seen)
        __sync_fetch_and_add(&tree.moving, -1);
    return 0;
}
