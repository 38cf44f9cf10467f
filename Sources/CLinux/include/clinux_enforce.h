/*
 * What the enforcing components need beyond clinux.h: fanotify permission events, what a blocked thread asked for,
 * strings in another process's memory. Here rather than in Swift because all of it walks structures of variable
 * length in buffers the kernel filled, on a path where nothing may be allocated.
 */
#ifndef MIS_CLINUX_ENFORCE_H
#define MIS_CLINUX_ENFORCE_H

#include <linux/fanotify.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    clinux_path_size = 4096, /* PATH_MAX: the kernel names no object with more */
    clinux_event_buffer_size = 2048,
};

/* Hidden by libc without _GNU_SOURCE: flags for the descriptors that come with events. */
enum {
    clinux_O_LARGEFILE = 0100000,
    clinux_O_NOATIME = 01000000,
};

/* Newer than the headers of older distributions. */
enum {
    clinux_FAN_REPORT_TID = 0x100,
    clinux_FAN_MARK_EVICTABLE = 0x200, /* Linux 5.19 */
    clinux_FAN_MARK_IGNORE = 0x400,    /* Linux 6.0 */
    clinux_FAN_REPORT_TARGET_FID = 0x1000,
    clinux_FAN_RENAME = 0x10000000, /* Linux 5.17 */
};

/* An object somebody wants to open, as a permission event and its descriptor tell. */
struct clinux_opened {
    uint64_t mask;
    int32_t fd;     /* the event's own descriptor; the receiver closes it. FAN_NOFD: no object (overflow) */
    int32_t thread; /* who asks, in our pid namespace; 0: not visible from here */
    int32_t error;  /* errno of fstat or readlink; then what follows cannot be relied upon */
    uint32_t mode;  /* st_mode */
    uint64_t links; /* st_nlink */
    uint64_t inode;
    uint32_t device_major, device_minor;
    uint32_t length; /* of path; no NUL counted */
    uint8_t path[clinux_path_size];
};

/* The path as a pointer, which Swift cannot make of an array inside a structure. */
static inline const uint8_t *_Nonnull clinux_opened_path(const struct clinux_opened *_Nonnull opened) {
    return opened->path;
}

struct clinux_event_reader {
    int32_t group;
    uint32_t start, end;
    _Alignas(8) uint8_t buffer[clinux_event_buffer_size];
};

/* The next permission event of a non-blocking group, described. 1: there was one; 0: nothing is waiting;
 * -1: errno (the kernel has then answered one event with "deny" itself, or the group is broken). */
int clinux_next_opened(struct clinux_event_reader *_Nonnull reader, struct clinux_opened *_Nonnull opened);
/* Describes what a descriptor is open for; mask and thread are left alone. */
void clinux_describe_opened(int fd, struct clinux_opened *_Nonnull opened);
/* Answers a permission event. -1: errno; ENOENT when nobody waits any more. */
int clinux_answer_opened(int group, int event, int allow);

/* A thread's system call. */
struct clinux_call {
    int64_t number;
    uint64_t arguments[6];
};

/* The system call a thread is blocked in, from /proc/TID/syscall. -1 with EAGAIN: it is not in one. */
int clinux_blocked_call(pid_t thread, struct clinux_call *_Nonnull call);

/* Whether the mount an open descriptor was reached by is read-only; 0 also when that cannot be told. */
int clinux_is_on_read_only_mount(int fd);

enum clinux_intent {
    clinux_intent_unclear = 0,
    clinux_intent_read = 1,
    clinux_intent_write = 2, /* or truncate */
    clinux_intent_execute = 3,
};

/* What an opening system call wants of its object, as far as its registers tell. */
enum clinux_intent clinux_open_intent(const struct clinux_call *_Nonnull call);

/* Who a thread belongs to (0: unknown) and what it calls itself; returns the name's length (at most 15). */
int clinux_thread_origin(pid_t thread, pid_t *_Nonnull process, uint8_t name[_Nonnull 16]);

/* readlink(2) of /proc/PID/cwd (`fd` AT_FDCWD), /proc/PID/fd/FD or, with pid 0, of our own descriptor `fd`.
 * Returns the length, or -1. */
ssize_t clinux_descriptor_path(pid_t pid, int fd, uint8_t *_Nonnull buffer, size_t size);

/* A NUL-terminated string of another process. Returns its length without the NUL, or -1 with EFAULT, ESRCH, EPERM or
 * ENAMETOOLONG. */
ssize_t clinux_read_string(pid_t pid, uint64_t address, uint8_t *_Nonnull buffer, size_t size);
/* 8 bytes of another process; -1 when they cannot be read. */
int clinux_read_word(pid_t pid, uint64_t address, uint64_t *_Nonnull word);

enum { clinux_caller_path_size = 2 * clinux_path_size + 1 };

/* The path another thread hands to the kernel: the string at `address`, put behind its working directory (`directory`
 * AT_FDCWD) or the folder open as `directory`, without `.`, `..` and doubled slashes. Symlinks are not resolved: this
 * is what was asked for, not what is there. `buffer` has clinux_caller_path_size bytes. Returns the length, or -1. */
ssize_t clinux_caller_path(pid_t thread, int directory, uint64_t address, uint8_t *_Nonnull buffer);
/* Whether anything is at an absolute path inside the root of another process; -1: it cannot be told. Opens nothing but
 * O_PATH descriptors, about which no fanotify group is asked. */
int clinux_exists_inside(pid_t thread, const uint8_t *_Nonnull path, size_t length);

/* seccomp(SECCOMP_GET_NOTIF_SIZES). */
int clinux_seccomp_notification_sizes(struct seccomp_notif_sizes *_Nonnull sizes);

/* Where a path-changing system call keeps what it says. Argument indices; -1: none. */
struct clinux_path_call {
    int8_t directory, path;        /* the object; path without directory: relative to the working directory */
    int8_t other_directory, other; /* the second name of link and rename */
    int8_t flags;                  /* open flags; with how: struct open_how behind this pointer */
    uint8_t kind;                  /* enum clinux_path_kind */
};

enum clinux_path_kind {
    clinux_path_none = 0, /* not one of these calls */
    clinux_path_open,
    clinux_path_open_how,
    clinux_path_creat,
    clinux_path_truncate,
    clinux_path_mkdir,
    clinux_path_mknod,
    clinux_path_unlink,
    clinux_path_rmdir,
    clinux_path_rename,
    clinux_path_link,
    clinux_path_symlink,
    clinux_path_chmod,
    clinux_path_chown,
    clinux_path_utime,
    clinux_path_setxattr,
    clinux_path_removexattr,
};

struct clinux_path_call clinux_describe_path_call(int64_t number);

/* Whether somebody has the file open for writing; `fd` is open for reading only. 1, 0, or -1: cannot be told. */
int clinux_has_writer(int fd);
/* What tells that a file's content is the same as when it was last looked at. */
struct clinux_content {
    uint64_t device, inode, size;
    int64_t changed; /* ctime, nanoseconds since 1970 */
    uint32_t mode;
    uint8_t is_elf; /* it begins with \177ELF */
    uint8_t is_old; /* changed long enough ago that a later change has another ctime */
};
int clinux_content_of(int fd, struct clinux_content *_Nonnull content);
/* Reads up to `size` bytes at `offset`; -1: errno. Does not move the descriptor. */
ssize_t clinux_read_at(int fd, uint8_t *_Nonnull buffer, size_t size, uint64_t offset);
/* Sets a CLOCK_MONOTONIC timer descriptor to fire once; 0 nanoseconds: never. */
int clinux_timer_arm(int timer, uint64_t nanoseconds);
/* epoll_ctl(EPOLL_CTL_ADD, EPOLLIN). */
int clinux_epoll_add(int epoll, int fd);

/* A file handle, as events carry it. */
struct clinux_handle {
    uint32_t size; /* 0: none */
    uint32_t type;
    uint8_t bytes[128];
};

/* name_to_handle_at's counterpart, for handles the kernel gave with an event. */
int clinux_open_by_handle(int mount, const struct clinux_handle *_Nonnull handle, int flags);

/* Folders that were listed, and when: whoever renamed something in them before has his event queued. */
struct clinux_listed_folders {
    struct {
        uint64_t device, inode;
        int64_t time; /* CLOCK_REALTIME_COARSE, as ctime is, before the listing */
    } entries[256];
};

/* Whether anything on the way from `root` to `path` (relative to it, no `..`) changed its name since `threshold`
 * (nanoseconds since 1970), or cannot be told not to have. For each such place its folder is listed, which waits for
 * whoever is changing a name there right now: afterwards his event is in its queue. 0: nothing; 1: something, waited
 * for; -1: errno. */
int clinux_wait_for_renames(struct clinux_listed_folders *_Nonnull listed, int root, const uint8_t *_Nonnull path,
                            size_t length, int64_t threshold);
/* 1: the process is in our pid namespace; 0: in another; -1: it cannot be told. */
int clinux_shares_pid_namespace(pid_t process);

/* One change of a name, from a group with FAN_REPORT_DFID_NAME_TARGET. */
struct clinux_name_event {
    uint64_t mask;
    int32_t process;
    uint32_t length, old_length; /* of name and old_name */
    uint8_t name[256], old_name[256];
    struct clinux_handle target, folder, old_folder;
};

/* As clinux_next_opened. */
int clinux_next_name(struct clinux_event_reader *_Nonnull reader, struct clinux_name_event *_Nonnull event);

/* One inotify event inside a buffer that read(2) filled. */
struct clinux_watch_event {
    int32_t watch;
    uint32_t mask;
    uint32_t name_length;
    const uint8_t *_Nullable name;
};

/* Reads the event at *offset of `size` bytes and moves *offset past it; 0 when there is none left. */
int clinux_next_watch_event(const uint8_t *_Nonnull buffer, size_t size, size_t *_Nonnull offset,
                            struct clinux_watch_event *_Nonnull event);

#endif
