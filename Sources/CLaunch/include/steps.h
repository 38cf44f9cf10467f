/*
 * The set-up of a sandbox as a flat array of steps.
 *
 * The launcher decides everything and writes it down here; the child only obeys, in order, with raw system calls,
 * and stops at the first failure. Nothing is allocated, looked up or decided in the child. All pointers refer to
 * memory the launcher keeps until the child has executed the init. The steps come as several lists, each while the
 * child is at the one before: what every sandbox begins with; what the profile adds; the plan's mounts; and what
 * confines it.
 */
#ifndef MIS_STEPS_H
#define MIS_STEPS_H

#include <stddef.h>
#include <stdint.h>

enum mis_step_kind {
    mis_step_join_cgroup = 1,       /* path: a v1 `tasks` file; moves this task alone */
    mis_step_unshare = 2,           /* number: CLONE_NEW* */
    mis_step_die_with_parent = 3,   /* SIGKILL when the launcher's thread ends */
    mis_step_write_file = 4,        /* place/path: an existing file; text: written in one call */
    mis_step_private_mounts = 5,    /* no mount event crosses, either way */
    mis_step_new_file_system = 6,   /* path: type; text: key\0value\0...; attributes -> slot */
    mis_step_attach = 7,            /* slot: a detached mount; place/path: where */
    mis_step_bind = 8,              /* source/source_path -> place/path; attributes, idmap, marks, identity */
    mis_step_directory = 9,         /* place/path; number: mode; exists already: fine */
    mis_step_file = 10,             /* place/path; number: mode; text: contents */
    mis_step_symlink = 11,          /* place/path; text: where it points */
    mis_step_mount_attributes = 12, /* place/path; attributes; recursive by flag */
    mis_step_pivot = 13,            /* the current folder becomes the root; the old root is gone afterwards */
    mis_step_receive = 14,          /* a descriptor the launcher sent over the socket -> slot `number` */
    mis_step_hostname = 15,         /* text */
    mis_step_loopback = 16,         /* lo goes up */
    mis_step_limit = 17,            /* number: RLIMIT_*; value: soft and hard */
    mis_step_clear_groups = 18,     /* no supplementary group is left */
    mis_step_group = 19,            /* number: real, effective, saved and file-system gid */
    mis_step_user = 20,             /* number: the same for the uid */
    mis_step_secure_bits = 21,      /* number: SECBIT_* */
    mis_step_dumpable = 22,         /* number: 0 or 1 */
    mis_step_keyring = 23,          /* an anonymous session keyring of its own */
    mis_step_capabilities = 24,     /* value: the set that is kept */
    mis_step_no_new_privileges = 25,
    mis_step_landlock_ruleset = 26,  /* data: struct landlock_ruleset_attr -> slot */
    mis_step_landlock_allow = 27,    /* slot: ruleset; place/path; value: rights */
    mis_step_landlock_restrict = 28, /* slot: ruleset */
    mis_step_seccomp = 29,           /* data: struct sock_filter[]; listener by flag -> slot */
    mis_step_send = 30,              /* slot: sent to the supervisor; number: tag */
    mis_step_terminal = 31,          /* place/path: ptmx -> slot (master), slot + 1 (slave) */
    mis_step_change_directory = 32,  /* path, in the new root */
    mis_step_mark = 33,              /* fd: fanotify group; place/path; value: mask; number: FAN_MARK_* flags */
    mis_step_clone_mount = 34,       /* source/source_path -> slot: a detached clone of a mount */
    mis_step_close = 35,             /* slot */
    mis_step_owner = 36,             /* place/path; number: uid, value: gid */
    mis_step_mask = 37,              /* number: the file mode creation mask */
    mis_step_node = 38,              /* place/path; number: mode with type, value: device */
    mis_step_wait = 39,              /* until the launcher has everything else in place */
    mis_step_open = 40,              /* place/path -> slot, O_PATH */
    mis_step_execute = 41,           /* the init; data: struct mis_execution */
    mis_step_open_namespace = 42,    /* path, a link in a procfs -> slot */
    mis_step_mount_here = 43,        /* path; source_path: type; text: options; attributes, but not read-only */
    mis_step_close_others = 44,      /* all descriptors but those of data: struct mis_execution */
    mis_step_bind_here = 45,         /* source_path -> path; attributes, identity */
    mis_step_enter = 46,             /* slot: becomes the current folder, where the steps called `here` begin */
};

enum mis_step_flags {
    mis_flag_recursive = 1,      /* sub-mounts too */
    mis_flag_may_be_absent = 2,  /* ENOENT is not a failure */
    mis_flag_check_identity = 4, /* the source must be the very object the plan saw */
    mis_flag_listener = 8,       /* seccomp: with a notification descriptor */
    /* No folder on the way to the place, or to the source, can have become a symlink: the call that mounts may find it
     * by its name. It does not follow one at the end. */
    mis_flag_sure_place = 16,
    mis_flag_sure_source = 32,
    mis_flag_ahead = 64, /* done ahead for the launcher, which does it itself where this fails */
};

/* `place`/`source` of a step: a slot's number, or the calling process's root. */
enum { mis_place_host = -1, mis_slot_count = 64 };

struct mis_step {
    uint32_t kind;
    uint32_t flags;
    int32_t place, source, slot, fd;
    const char *path;
    const char *source_path;
    const char *text;
    size_t text_length;
    const void *data;
    size_t data_length;
    uint64_t number, value;
    uint64_t attributes;   /* MOUNT_ATTR_* to set */
    int32_t idmap;         /* slot of the user namespace of an idmapped mount, or -1 */
    uint32_t device_major; /* identity of a source, as statx gives it */
    uint32_t device_minor;
    uint64_t inode;
};

/* linux/securebits.h, as a constant Swift can import. */
enum { mis_keep_capabilities_over_setuid = 1 << 2 /* SECBIT_NO_SETUID_FIXUP */ };

/* The last step's argument. Descriptors are the launcher's numbers, or slots (negative: ~slot). */
struct mis_execution {
    int32_t image;     /* the init's memfd */
    int32_t stdio[3];  /* become 0, 1, 2 */
    int32_t reasoning; /* becomes mis_fd_reasoning; INT32_MIN: none */
    int32_t status;    /* becomes mis_fd_status */
    int32_t terminal;  /* becomes mis_fd_terminal; INT32_MIN: none */
    char *const *arguments;
    char *const *environment;
};

/* Written by the child, read by the launcher; shared memory, because the child is made with CLONE_VM. */
struct mis_setup_report {
    int32_t step;  /* index of the step that failed, counted over all lists, or -1 */
    int32_t error; /* its errno */
    int32_t call;  /* the system call inside the step that failed */
};

/* A message that carries a descriptor from the child to the supervisor. */
struct mis_sent_descriptor {
    uint32_t tag;
};

#endif
