/* System calls of other threads: what they hand to the kernel, and what the calls that name paths mean. */
#define _GNU_SOURCE
#include "clinux.h"
#include "clinux_enforce.h"

#include <stdio.h>

ssize_t clinux_read_string(pid_t pid, uint64_t address, uint8_t *buffer, size_t size) {
    const size_t page = 4096; /* the smallest there is: a read that ends at its border never faults needlessly */
    size_t have = 0;
    while (have < size) {
        size_t part = page - (address + have) % page;
        if (part > size - have)
            part = size - have;
        struct iovec local = {buffer + have, part}, remote = {(void *)(uintptr_t)(address + have), part};
        ssize_t got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
        if (got <= 0)
            return got < 0 ? -1 : (errno = EFAULT, -1);
        const uint8_t *end = memchr(buffer + have, 0, (size_t)got);
        if (end)
            return end - buffer;
        have += (size_t)got;
    }
    return errno = ENAMETOOLONG, -1;
}

int clinux_read_word(pid_t pid, uint64_t address, uint64_t *word) {
    struct iovec local = {word, sizeof *word}, remote = {(void *)(uintptr_t)address, sizeof *word};
    ssize_t got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
    if (got == sizeof *word)
        return 0;
    if (got >= 0)
        errno = EFAULT;
    return -1;
}

/* Drops empty names and `.`, and follows `..`, in place. Returns the new length, at least 1. */
static size_t normalise(uint8_t *path, size_t length) {
    size_t out = 0, at = 0;
    while (at < length) {
        while (at < length && path[at] == '/')
            at++;
        size_t start = at;
        while (at < length && path[at] != '/')
            at++;
        size_t size = at - start;
        if (size == 0 || (size == 1 && path[start] == '.'))
            continue;
        if (size == 2 && path[start] == '.' && path[start + 1] == '.') {
            while (out > 0 && path[--out] != '/')
                ;
            continue;
        }
        path[out++] = '/';
        memmove(path + out, path + start, size);
        out += size;
    }
    if (out == 0)
        path[out++] = '/';
    return out;
}

ssize_t clinux_caller_path(pid_t thread, int directory, uint64_t address, uint8_t *buffer) {
    uint8_t *given = buffer + clinux_path_size + 1;
    ssize_t length = address ? clinux_read_string(thread, address, given, clinux_path_size) : 0;
    if (length < 0)
        return -1;
    if (length > 0 && given[0] == '/') {
        memmove(buffer, given, (size_t)length);
        return (ssize_t)normalise(buffer, (size_t)length);
    }
    ssize_t base = clinux_descriptor_path(thread, directory, buffer, clinux_path_size);
    if (base < 0)
        return -1;
    buffer[base] = '/';
    memmove(buffer + base + 1, given, (size_t)length);
    return (ssize_t)normalise(buffer, (size_t)(base + 1 + length));
}

int clinux_exists_inside(pid_t thread, const uint8_t *path, size_t length) {
    char name[64], text[clinux_path_size];
    if (length >= sizeof text)
        return errno = ENAMETOOLONG, -1;
    memcpy(text, path, length);
    text[length] = 0;
    snprintf(name, sizeof name, "/proc/%d/root", thread);
    int root = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    int found =
        clinux_open_resolving(root, text, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    int error = errno;
    close(root);
    if (found >= 0)
        return close(found), 1;
    return error == ENOENT || error == ENOTDIR ? 0 : (errno = error, -1);
}

int clinux_seccomp_notification_sizes(struct seccomp_notif_sizes *sizes) {
    return (int)syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, sizes);
}

/* Shorthands: directory argument, path argument. The kernel takes these numbers from linux/fs.h of 6.13. */
#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#define SYS_removexattrat 466
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

#define CALL(kind_, directory_, path_)                                                                                 \
    (struct clinux_path_call) {                                                                                        \
        .directory = directory_, .path = path_, .other_directory = -1, .other = -1, .flags = -1,                       \
        .kind = clinux_path_##kind_                                                                                    \
    }
#define PAIR(kind_, directory_, path_, other_directory_, other_)                                                       \
    (struct clinux_path_call) {                                                                                        \
        .directory = directory_, .path = path_, .other_directory = other_directory_, .other = other_, .flags = -1,     \
        .kind = clinux_path_##kind_                                                                                    \
    }
#define OPEN(kind_, directory_, path_, flags_)                                                                         \
    (struct clinux_path_call) {                                                                                        \
        .directory = directory_, .path = path_, .other_directory = -1, .other = -1, .flags = flags_,                   \
        .kind = clinux_path_##kind_                                                                                    \
    }

struct clinux_path_call clinux_describe_path_call(int64_t number) {
    switch (number) {
    case SYS_openat:
        return OPEN(open, 0, 1, 2);
    case SYS_openat2:
        return OPEN(open_how, 0, 1, 2);
    case SYS_truncate:
        return CALL(truncate, -1, 0);
    case SYS_mkdirat:
        return CALL(mkdir, 0, 1);
    case SYS_mknodat:
        return CALL(mknod, 0, 1);
    case SYS_unlinkat:
        return OPEN(unlink, 0, 1, 2);
    case SYS_renameat2:
        return PAIR(rename, 0, 1, 2, 3);
#ifdef SYS_renameat
    case SYS_renameat:
        return PAIR(rename, 0, 1, 2, 3);
#endif
    case SYS_linkat:
        return PAIR(link, 0, 1, 2, 3);
    case SYS_symlinkat:
        return CALL(symlink, 1, 2);
    case SYS_fchmodat:
    case SYS_fchmodat2:
        return CALL(chmod, 0, 1);
    case SYS_fchownat:
        return CALL(chown, 0, 1);
    case SYS_utimensat:
        return CALL(utime, 0, 1);
    case SYS_setxattr:
    case SYS_lsetxattr:
        return CALL(setxattr, -1, 0);
    case SYS_removexattr:
    case SYS_lremovexattr:
        return CALL(removexattr, -1, 0);
    case SYS_setxattrat:
        return CALL(setxattr, 0, 1);
    case SYS_removexattrat:
        return CALL(removexattr, 0, 1);
#ifdef SYS_open /* the calls that younger architectures never had */
    case SYS_open:
        return OPEN(open, -1, 0, 1);
    case SYS_creat:
        return CALL(creat, -1, 0);
    case SYS_mkdir:
        return CALL(mkdir, -1, 0);
    case SYS_mknod:
        return CALL(mknod, -1, 0);
    case SYS_unlink:
        return CALL(unlink, -1, 0);
    case SYS_rmdir:
        return CALL(rmdir, -1, 0);
    case SYS_rename:
        return PAIR(rename, -1, 0, -1, 1);
    case SYS_link:
        return PAIR(link, -1, 0, -1, 1);
    case SYS_symlink:
        return CALL(symlink, -1, 1);
    case SYS_chmod:
        return CALL(chmod, -1, 0);
    case SYS_chown:
    case SYS_lchown:
        return CALL(chown, -1, 0);
    case SYS_utime:
    case SYS_utimes:
        return CALL(utime, -1, 0);
    case SYS_futimesat:
        return CALL(utime, 0, 1);
#endif
    }
    return (struct clinux_path_call){.directory = -1, .path = -1, .other_directory = -1, .other = -1, .flags = -1};
}
