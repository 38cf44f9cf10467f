#define _GNU_SOURCE
#include "clinux.h"

#include <linux/capability.h>
#include <stdio.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

int clinux_duplicate(int fd) {
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

int clinux_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int clinux_pipe(int *ends) {
    return pipe2(ends, O_CLOEXEC);
}

int clinux_reserve(int fd, size_t size) {
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size);
}

int clinux_add_seals(int fd, int seals) {
    return fcntl(fd, F_ADD_SEALS, seals);
}

char **clinux_environment(void) {
    return environ;
}

int clinux_open(int directory, const char *path, int flags, mode_t mode) {
    return openat(directory, path, flags, mode);
}

int clinux_open_resolving(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

int clinux_pidfd_open(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int clinux_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int clinux_memfd_create(const char *name, unsigned flags) {
    return (int)syscall(SYS_memfd_create, name, flags);
}

int clinux_statx(int directory, const char *path, int flags, struct statx *result) {
    return statx(directory, path, flags, STATX_BASIC_STATS, result);
}

int clinux_landlock_abi(void) {
    return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

int clinux_ioctl_int(int fd, unsigned long request, int value) {
    return ioctl(fd, request, value);
}

int clinux_ioctl_pointer(int fd, unsigned long request, void *pointer) {
    return ioctl(fd, request, pointer);
}

int clinux_getdents(int fd, void *buffer, size_t size) {
    return (int)syscall(SYS_getdents64, fd, buffer, size);
}

int clinux_rename_no_replace(int from_directory, const char *from, int to_directory, const char *to) {
    return (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, 1 /* RENAME_NOREPLACE */);
}

int clinux_send_descriptor(int socket, const void *buffer, size_t size, int fd) {
    struct iovec part = {(void *)buffer, size};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

ssize_t clinux_receive_descriptor(int socket, void *buffer, size_t size, int *fd) {
    struct iovec part = {buffer, size};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    *fd = -1;
    ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (received < 0)
        return received;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
            header->cmsg_len == CMSG_LEN(sizeof(int)))
            memcpy(fd, CMSG_DATA(header), sizeof(int));
    return received;
}

int clinux_wait_pidfd(int pidfd, int flags, int *code, int *status) {
    siginfo_t information = {0};
    if (waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &information, WEXITED | flags | __WALL) < 0)
        return -1;
    *code = information.si_code;
    *status = information.si_status;
    return information.si_pid;
}

int clinux_wait_any_kind(pid_t pid) {
    int status;
    return waitpid(pid, &status, __WALL);
}

uint32_t clinux_capability_last(void) {
    uint32_t last = 0;
    while (last < 63 && prctl(PR_CAPBSET_READ, last + 1) >= 0)
        last++;
    return last;
}

dev_t clinux_makedev(unsigned major_number, unsigned minor_number) {
    return makedev(major_number, minor_number);
}

const unsigned long clinux_TIOCSWINSZ = TIOCSWINSZ, clinux_TIOCGWINSZ = TIOCGWINSZ, clinux_TIOCSCTTY = TIOCSCTTY;
const unsigned long clinux_seccomp_receive = SECCOMP_IOCTL_NOTIF_RECV, clinux_seccomp_send = SECCOMP_IOCTL_NOTIF_SEND,
                    clinux_seccomp_id_valid = SECCOMP_IOCTL_NOTIF_ID_VALID;
const unsigned long clinux_seccomp_set_flags = SECCOMP_IOCTL_NOTIF_SET_FLAGS;

const char *clinux_errno_name(int error) {
    const char *name = strerrorname_np(error);
    if (name)
        return name;
    static _Thread_local char text[24];
    snprintf(text, sizeof text, "errno %d", error);
    return text;
}
