// The kernel's types, only the fields these programs read. The loader moves every access to where the running kernel
// keeps the field (CO-RE), so no header of the build machine's kernel is used and one object serves 6.1 to 7.x.
#ifndef MIS_KERNEL_TYPES_H
#define MIS_KERNEL_TYPES_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u16 __sum16;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

// Names <bpf/bpf_helper_defs.h> and <bpf/bpf_tracing.h> expect from a kernel header.
enum bpf_map_type {
    BPF_MAP_TYPE_HASH = 1,
    BPF_MAP_TYPE_ARRAY = 2,
    BPF_MAP_TYPE_PERCPU_ARRAY = 6,
    BPF_MAP_TYPE_LRU_HASH = 9,
    BPF_MAP_TYPE_LPM_TRIE = 11,
    BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
    BPF_MAP_TYPE_RINGBUF = 27,
    BPF_MAP_TYPE_INODE_STORAGE = 28,
};
enum {
    BPF_ANY = 0,
    BPF_NOEXIST = 1,
    BPF_F_NO_PREALLOC = 1,
    BPF_F_MMAPABLE = 1024,
    BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
    BPF_RB_NO_WAKEUP = 1,
    BPF_RB_FORCE_WAKEUP = 2,
    BPF_RB_AVAIL_DATA = 0,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
    unsigned long di, si, dx, cx, r8, r9, sp, bp, ax, ip;
};

typedef struct {
    int counter;
} atomic_t;

struct qstr {
    union {
        struct {
            u32 hash;
            u32 len;
        };
        u64 hash_len;
    };
    const unsigned char *name;
};

struct super_block {
    u32 s_dev;
    unsigned long s_flags;
    unsigned long s_magic;
};

struct timespec64 {
    s64 tv_sec;
    long tv_nsec;
};

struct inode {
    u16 i_mode;
    s64 i_size;
    atomic_t i_writecount;
    struct super_block *i_sb;
    unsigned long i_ino;
    unsigned int i_nlink;
    u32 i_generation;
};

typedef struct seqcount {
    unsigned int sequence;
} seqcount_t;

typedef struct seqcount_spinlock {
    seqcount_t seqcount;
} seqcount_spinlock_t;

struct dentry {
    seqcount_spinlock_t d_seq;
    struct dentry *d_parent;
    struct qstr d_name;
    struct inode *d_inode;
};

struct vfsmount {
    struct dentry *mnt_root;
    struct super_block *mnt_sb;
};

struct mount {
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
    void *mnt_ns;
};

struct path {
    struct vfsmount *mnt;
    struct dentry *dentry;
};

struct file {
    unsigned int f_mode;
    unsigned int f_flags;
    struct inode *f_inode;
    struct path f_path;
};

struct vm_area_struct {
    struct file *vm_file;
    unsigned long vm_flags;
};

struct renamedata {
    struct dentry *old_dentry;
    struct dentry *new_dentry;
};

typedef struct {
    u32 val;
} kuid_t;

struct cred {
    kuid_t uid;
    kuid_t suid;
    kuid_t euid;
    kuid_t fsuid;
};

struct linux_binprm {
    struct file *file;
    struct cred *cred;
};

struct kernfs_node {
    u64 id;
};

struct cgroup_root {
    int hierarchy_id;
};

struct cgroup {
    struct kernfs_node *kn;
    int level;
    struct cgroup_root *root;
};

struct css_set {
    struct cgroup *dfl_cgrp;
};

struct task_struct {
    int pid;
    int tgid;
    struct task_struct *real_parent;
    const struct cred *real_cred;
    const struct cred *cred;
    struct css_set *cgroups;
};

struct sock_cgroup_data {
    struct cgroup *cgroup;
};

struct sock_common {
    unsigned short skc_family;
};

struct sock {
    struct sock_common __sk_common;
    u16 sk_protocol;
    struct sock_cgroup_data sk_cgrp_data;
};

struct unix_sock {
    struct sock sk;
    struct path path;
};

struct socket {
    short type;
    struct sock *sk;
};

struct msghdr {
    void *msg_name;
    int msg_namelen;
};

struct seq_file {
    unsigned long count;
};

struct bpf_iter_meta {
    struct seq_file *seq;
    u64 session_id;
    u64 seq_num;
};

struct bpf_iter__task_vma {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
    struct vm_area_struct *vma;
};

struct bpf_iter__task_file {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
    u32 fd;
    struct file *file;
};

#pragma clang attribute pop

// Opaque here: only ever an argument in a hook's list.
struct iattr;
struct posix_acl;
struct super_block_opaque;
struct kernel_siginfo;
struct fs_context;
struct fs_parameter;
struct sockaddr;
struct key;
struct perf_event_attr;
union bpf_attr;
struct timezone;

#endif
