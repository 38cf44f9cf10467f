/*
 * What Swift's Glibc module does not show: variadic and newer system calls, and structures of the kernel's headers.
 * Every function returns -1 and sets errno, as libc does; LinuxSystem turns that into an error in one place.
 */
#ifndef MIS_CLINUX_H
#define MIS_CLINUX_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/fanotify.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <linux/stat.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "clinux_enforce.h"

/* Shown by libc with _GNU_SOURCE only, which Swift's own Glibc module is built without. */
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
#ifndef O_PATH
#define O_PATH 010000000
#endif
#ifndef CLONE_NEWUSER
#include <linux/sched.h>
#endif

/* fcntl(F_DUPFD_CLOEXEC). */
int clinux_duplicate(int fd);
int clinux_set_nonblocking(int fd);
/* pipe2(O_CLOEXEC). */
int clinux_pipe(int *_Nonnull ends);
/* fallocate(FALLOC_FL_KEEP_SIZE) of the file's first `size` bytes. */
int clinux_reserve(int fd, size_t size);
/* fcntl(F_ADD_SEALS). */
int clinux_add_seals(int fd, int seals);
char *_Nullable *_Nullable clinux_environment(void);
int clinux_open(int directory, const char *_Nonnull path, int flags, mode_t mode);
/* openat2(2); `resolve` is RESOLVE_*. */
int clinux_open_resolving(int directory, const char *_Nonnull path, uint64_t flags, uint64_t mode, uint64_t resolve);
int clinux_pidfd_open(pid_t pid);
int clinux_pidfd_send_signal(int pidfd, int signal);
int clinux_memfd_create(const char *_Nonnull name, unsigned flags);
int clinux_statx(int directory, const char *_Nonnull path, int flags, struct statx *_Nonnull result);
int clinux_landlock_abi(void);
int clinux_ioctl_int(int fd, unsigned long request, int value);
int clinux_ioctl_pointer(int fd, unsigned long request, void *_Nullable pointer);
int clinux_getdents(int fd, void *_Nonnull buffer, size_t size);
int clinux_rename_no_replace(int from_directory, const char *_Nonnull from, int to_directory, const char *_Nonnull to);
/* Sends one message with a descriptor; 0, or -1. */
int clinux_send_descriptor(int socket, const void *_Nonnull buffer, size_t size, int fd);
/* Receives one message and at most one descriptor (-1: none came). Returns the message's length. */
ssize_t clinux_receive_descriptor(int socket, void *_Nonnull buffer, size_t size, int *_Nonnull fd);
/* waitid(P_PIDFD, ..., WEXITED): the pid, 0 when it still runs (`flags` WNOHANG), or -1. */
int clinux_wait_pidfd(int pidfd, int flags, int *_Nonnull code, int *_Nonnull status);
/* waitpid(2) with __WALL, for children that announce their end with no signal. */
int clinux_wait_any_kind(pid_t pid);
uint32_t clinux_capability_last(void);
dev_t clinux_makedev(unsigned major_number, unsigned minor_number);

/* The arguments as the kernel gave them to this process, and how many: kept when it began. (Swift's CommandLine reads
 * /proc/self/maps to find them, at each start.) */
int clinux_argument_count(void);
const char *_Nullable clinux_argument(int index);

/* Gives back the resident pages of the executable's code; they come back from its file when they are needed. */
void clinux_release_code(void);
/* Threads that are made from now on share the one heap: another would begin with a mapping of 128 MB. */
void clinux_share_heap(void);
/* Makes the heap larger by `size` bytes and tells where: the next allocations come from there. NULL when there is no
 * memory. */
void *_Nullable clinux_extend_heap(size_t size);

/* Whole pages of the program. */
struct clinux_range {
    void *_Nullable start; /* NULL: none */
    size_t size;
};
/* What a start changes of the program's data: of what has a value in the file, and of what has none. */
struct clinux_range clinux_start_data_range(void);
struct clinux_range clinux_start_bss_range(void);

/* ioctl requests whose macros Swift cannot import. */
extern const unsigned long clinux_TIOCSWINSZ, clinux_TIOCGWINSZ, clinux_TIOCSCTTY;
extern const unsigned long clinux_seccomp_receive, clinux_seccomp_send, clinux_seccomp_id_valid;
extern const unsigned long clinux_seccomp_set_flags;

/* The kernel's errno name ("EACCES"), or "errno N". */
const char *_Nonnull clinux_errno_name(int error);

#endif
