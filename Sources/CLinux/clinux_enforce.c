/* Events of fanotify and inotify, and what is needed to judge them. */
#define _GNU_SOURCE
#include "clinux.h"
#include "clinux_enforce.h"

#ifndef FAN_EVENT_INFO_TYPE_OLD_DFID_NAME
#define FAN_EVENT_INFO_TYPE_OLD_DFID_NAME 10
#define FAN_EVENT_INFO_TYPE_NEW_DFID_NAME 12
#endif

_Static_assert(sizeof(struct fanotify_event_metadata) == 24, "fanotify(7)");
_Static_assert(clinux_FAN_REPORT_TID == FAN_REPORT_TID, "linux/fanotify.h");

/* "/proc/" PID "/" WHAT [FD], without stdio: this runs once per event. */
static void proc_name(char *out, pid_t pid, const char *what, int fd) {
    char digits[12];
    out = stpcpy(out, "/proc/");
    if (pid) {
        int n = 0;
        for (unsigned rest = (unsigned)pid; rest; rest /= 10)
            digits[n++] = (char)('0' + rest % 10);
        while (n)
            *out++ = digits[--n];
    } else {
        out = stpcpy(out, "self");
    }
    *out++ = '/';
    out = stpcpy(out, what);
    if (fd >= 0) {
        int n = 0;
        unsigned rest = (unsigned)fd;
        do
            digits[n++] = (char)('0' + rest % 10);
        while (rest /= 10);
        while (n)
            *out++ = digits[--n];
    }
    *out = 0;
}

ssize_t clinux_descriptor_path(pid_t pid, int fd, uint8_t *buffer, size_t size) {
    char name[64];
    if (fd == AT_FDCWD)
        proc_name(name, pid, "cwd", -1);
    else if (fd < 0)
        return errno = EBADF, -1;
    else
        proc_name(name, pid, "fd/", fd);
    ssize_t length = readlink(name, (char *)buffer, size);
    /* A link that fills the buffer may have been cut. */
    if (length >= 0 && (size_t)length == size)
        return errno = ENAMETOOLONG, -1;
    return length;
}

static int next_event(struct clinux_event_reader *reader, const struct fanotify_event_metadata **event) {
    if (reader->start == reader->end) {
        ssize_t size;
        do
            size = read(reader->group, reader->buffer, sizeof reader->buffer);
        while (size < 0 && errno == EINTR);
        if (size < 0)
            return errno == EAGAIN ? 0 : -1;
        reader->start = 0;
        reader->end = (uint32_t)size;
        if (size == 0)
            return 0;
    }
    const struct fanotify_event_metadata *found = (const void *)(reader->buffer + reader->start);
    uint32_t left = reader->end - reader->start;
    if (left < sizeof *found || found->event_len < sizeof *found || found->event_len > left ||
        found->vers != FANOTIFY_METADATA_VERSION) {
        reader->start = reader->end;
        return errno = EPROTO, -1;
    }
    reader->start += found->event_len;
    *event = found;
    return 1;
}

int clinux_next_opened(struct clinux_event_reader *reader, struct clinux_opened *opened) {
    const struct fanotify_event_metadata *event;
    int result = next_event(reader, &event);
    if (result <= 0)
        return result;
    opened->mask = event->mask;
    opened->thread = event->pid;
    clinux_describe_opened(event->fd, opened);
    return 1;
}

void clinux_describe_opened(int fd, struct clinux_opened *opened) {
    opened->fd = fd;
    opened->error = 0;
    opened->length = 0;
    if (fd < 0)
        return;
    struct stat status;
    if (fstat(fd, &status) < 0) {
        opened->error = errno;
        return;
    }
    opened->mode = status.st_mode;
    opened->links = status.st_nlink;
    opened->inode = status.st_ino;
    opened->device_major = major(status.st_dev);
    opened->device_minor = minor(status.st_dev);
    ssize_t length = clinux_descriptor_path(0, fd, opened->path, sizeof opened->path);
    if (length < 0)
        opened->error = errno;
    else
        opened->length = (uint32_t)length;
}

int clinux_answer_opened(int group, int event, int allow) {
    struct fanotify_response answer = {.fd = event, .response = allow ? FAN_ALLOW : FAN_DENY};
    ssize_t written;
    do
        written = write(group, &answer, sizeof answer);
    while (written < 0 && errno == EINTR);
    return written < 0 ? -1 : 0;
}

/* Reads a short file of /proc; the result is NUL-terminated. */
static ssize_t read_proc(pid_t pid, const char *what, char *buffer, size_t size) {
    char name[64];
    proc_name(name, pid, what, -1);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t length = read(fd, buffer, size - 1);
    int error = errno;
    close(fd);
    errno = error;
    if (length >= 0)
        buffer[length] = 0;
    return length;
}

int clinux_blocked_call(pid_t thread, struct clinux_call *call) {
    char text[256];
    if (thread <= 0)
        return errno = ESRCH, -1;
    /* The event is queued before its thread sleeps: until then the kernel calls it running. It will sleep until it
     * is answered, so a moment's patience always ends; a thread that is gone ends it too. */
    for (int attempt = 0;; attempt++) {
        if (read_proc(thread, "syscall", text, sizeof text) < 0)
            return -1;
        if (text[0] != 'r' || attempt == 4000)
            break;
        struct timespec moment = {0, 50000};
        nanosleep(&moment, NULL);
    }
    /* "running\n", "-1 0x... 0x...\n" outside a call, or number and six arguments, stack and instruction pointer. */
    char *at = text, *end;
    call->number = strtoll(at, &end, 10);
    if (end == at || call->number < 0)
        return errno = EAGAIN, -1;
    for (int i = 0; i < 6; i++) {
        at = end;
        call->arguments[i] = strtoull(at, &end, 16);
        if (end == at)
            return errno = EAGAIN, -1;
    }
    return 0;
}

static enum clinux_intent flags_intent(uint64_t flags) {
    if ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC)
        return clinux_intent_write;
    return clinux_intent_read;
}

enum clinux_intent clinux_open_intent(const struct clinux_call *call) {
    switch (call->number) {
#ifdef SYS_open
    case SYS_open:
        return flags_intent(call->arguments[1]);
    case SYS_creat:
        return clinux_intent_write;
#endif
    case SYS_openat:
        return flags_intent(call->arguments[2]);
    case SYS_execve:
    case SYS_execveat:
        return clinux_intent_execute;
    }
    /* openat2 keeps its flags in memory, where another thread may change them after the kernel read them. */
    return clinux_intent_unclear;
}

int clinux_thread_origin(pid_t thread, pid_t *process, uint8_t name[16]) {
    char text[1024];
    *process = 0;
    if (thread <= 0)
        return 0;
    if (read_proc(thread, "status", text, sizeof text) > 0) {
        const char *line = strstr(text, "\nTgid:");
        if (line)
            *process = atoi(line + 6);
    }
    ssize_t length = read_proc(thread, "comm", text, sizeof text);
    if (length <= 0)
        return 0;
    if (text[length - 1] == '\n')
        length--;
    if (length > 15)
        length = 15;
    memcpy(name, text, (size_t)length);
    return (int)length;
}

int clinux_has_writer(int fd) {
    /* A read lease is given only while nobody can write (fcntl(2)). It is given back at once; whoever opens the file
     * for writing in between waits that long, and we are told by a signal whose default is to be ignored. */
    if (fcntl(fd, F_SETSIG, SIGURG) < 0)
        return -1;
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        return errno == EAGAIN ? 1 : -1;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return 0;
}

int clinux_content_of(int fd, struct clinux_content *content) {
    struct stat status;
    struct timespec now;
    if (fstat(fd, &status) < 0 || clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0)
        return -1;
    *content = (struct clinux_content){.device = status.st_dev,
                                       .inode = status.st_ino,
                                       .size = (uint64_t)status.st_size,
                                       .changed = status.st_ctim.tv_sec * 1000000000 + status.st_ctim.tv_nsec,
                                       .mode = status.st_mode};
    /* ctime moves in ticks of the kernel's clock, at most 10 ms: two changes within one look alike. */
    content->is_old = now.tv_sec * 1000000000 + now.tv_nsec - content->changed > 50000000;
    char magic[4];
    content->is_elf = pread(fd, magic, sizeof magic, 0) == sizeof magic && !memcmp(magic, "\177ELF", sizeof magic);
    return 0;
}

ssize_t clinux_read_at(int fd, uint8_t *buffer, size_t size, uint64_t offset) {
    ssize_t count;
    do
        count = pread(fd, buffer, size, (off_t)offset);
    while (count < 0 && errno == EINTR);
    return count;
}

int clinux_timer_arm(int timer, uint64_t nanoseconds) {
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)}};
    return timerfd_settime(timer, 0, &when, NULL);
}

int clinux_epoll_add(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int clinux_open_by_handle(int mount, const struct clinux_handle *handle, int flags) {
    union {
        struct file_handle handle;
        uint8_t room[sizeof(struct file_handle) + sizeof handle->bytes];
    } copy;
    if (handle->size == 0 || handle->size > sizeof handle->bytes)
        return errno = EINVAL, -1;
    copy.handle.handle_bytes = handle->size;
    copy.handle.handle_type = (int)handle->type;
    memcpy(copy.handle.f_handle, handle->bytes, handle->size);
    return open_by_handle_at(mount, &copy.handle, flags | O_CLOEXEC);
}

/* Lists a folder once: the kernel takes its lock, which whoever renames in it holds until his event is queued. */
static int wait_for_folder(struct clinux_listed_folders *listed, int root, const char *path) {
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    int folder = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
    if (folder < 0)
        return -1;
    struct timespec now;
    struct stat status;
    char entries[512];
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    long result = syscall(SYS_getdents64, folder, entries, sizeof entries);
    int error = errno;
    if (result >= 0 && fstat(folder, &status) == 0) {
        size_t slot = status.st_ino % (sizeof listed->entries / sizeof listed->entries[0]);
        listed->entries[slot].device = status.st_dev;
        listed->entries[slot].inode = status.st_ino;
        listed->entries[slot].time = now.tv_sec * 1000000000ll + now.tv_nsec;
    }
    close(folder);
    errno = error;
    return result < 0 ? -1 : 0;
}

/* When a folder was last listed; 0: it is not known. */
static int64_t last_listing(const struct clinux_listed_folders *listed, dev_t device, uint64_t inode) {
    size_t slot = inode % (sizeof listed->entries / sizeof listed->entries[0]);
    if (listed->entries[slot].inode != inode || listed->entries[slot].device != device)
        return 0;
    return listed->entries[slot].time;
}

int clinux_wait_for_renames(struct clinux_listed_folders *listed, int root, const uint8_t *path, size_t length,
                            int64_t threshold) {
    char text[clinux_path_size];
    struct stat folder;
    if (length >= sizeof text)
        return errno = ENAMETOOLONG, -1;
    if (fstat(root, &folder) < 0)
        return -1;
    int waited = 0;
    size_t end = 0;
    while (end < length) {
        size_t start = end;
        while (end < length && path[end] != '/')
            end++;
        memcpy(text, path, end);
        text[end] = 0;
        struct stat status;
        int found = fstatat(root, text, &status, AT_SYMLINK_NOFOLLOW);
        if (found < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
            return -1;
        int settled = 0;
        if (found == 0 && !S_ISLNK(status.st_mode)) {
            int64_t changed = status.st_ctim.tv_sec * 1000000000ll + status.st_ctim.tv_nsec;
            /* A rename sets the time with the lock in hand: a listing begun later waited for its end. */
            settled = changed < threshold || changed < last_listing(listed, folder.st_dev, folder.st_ino);
        }
        if (!settled) {
            text[start ? start - 1 : 0] = 0;
            if (wait_for_folder(listed, root, text) < 0)
                return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV ? 1 : -1;
            waited = 1;
        }
        if (found < 0)
            return 1;
        folder = status;
        end++;
    }
    return waited;
}

int clinux_shares_pid_namespace(pid_t process) {
    static char own[64]; /* never changes: written alike by whoever comes first */
    char name[64], other[64];
    if (process <= 0)
        return -1;
    if (!own[0]) {
        ssize_t length = readlink("/proc/self/ns/pid", other, sizeof other - 1);
        if (length <= 0)
            return -1;
        other[length] = 0;
        memcpy(own, other, sizeof own);
    }
    proc_name(name, process, "ns/pid", -1);
    ssize_t length = readlink(name, other, sizeof other - 1);
    if (length <= 0)
        return -1;
    other[length] = 0;
    return strcmp(own, other) == 0;
}

/* Takes a struct fanotify_event_info_fid apart; `name` may be NULL. */
static void take_fid(const uint8_t *record, uint32_t size, struct clinux_handle *handle, uint8_t *name,
                     uint32_t *name_length) {
    /* header (4), fsid (8), then struct file_handle: bytes (4), type (4), handle; then the name, NUL-terminated. */
    uint32_t bytes;
    if (size < 20)
        return;
    memcpy(&bytes, record + 12, 4);
    if (bytes > sizeof handle->bytes || bytes > size - 20)
        return;
    handle->size = bytes;
    memcpy(&handle->type, record + 16, 4);
    memcpy(handle->bytes, record + 20, bytes);
    if (!name)
        return;
    const char *text = (const char *)record + 20 + bytes;
    size_t length = strnlen(text, size - 20 - bytes);
    if (length > 255)
        return;
    memcpy(name, text, length);
    *name_length = (uint32_t)length;
}

int clinux_next_name(struct clinux_event_reader *reader, struct clinux_name_event *event) {
    const struct fanotify_event_metadata *found;
    int result = next_event(reader, &found);
    if (result <= 0)
        return result;
    event->mask = found->mask;
    event->process = found->pid;
    event->length = event->old_length = event->target.size = event->folder.size = event->old_folder.size = 0;
    const uint8_t *at = (const uint8_t *)found + found->metadata_len, *end = (const uint8_t *)found + found->event_len;
    while (end - at >= 4) {
        uint16_t size;
        memcpy(&size, at + 2, 2);
        if (size < 4 || size > end - at)
            break;
        switch (at[0]) {
        case FAN_EVENT_INFO_TYPE_DFID_NAME:
        case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
            take_fid(at, size, &event->folder, event->name, &event->length);
            break;
        case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
            take_fid(at, size, &event->old_folder, event->old_name, &event->old_length);
            break;
        case FAN_EVENT_INFO_TYPE_FID:
            take_fid(at, size, &event->target, NULL, NULL);
            break;
        }
        at += size;
    }
    return 1;
}

int clinux_next_watch_event(const uint8_t *buffer, size_t size, size_t *offset, struct clinux_watch_event *event) {
    struct inotify_event head;
    if (*offset > size || size - *offset < sizeof head)
        return 0;
    memcpy(&head, buffer + *offset, sizeof head);
    if (head.len > size - *offset - sizeof head)
        return 0;
    event->watch = head.wd;
    event->mask = head.mask;
    event->name = head.len ? buffer + *offset + sizeof head : NULL;
    event->name_length = head.len ? (uint32_t)strnlen((const char *)event->name, head.len) : 0;
    *offset += sizeof head + head.len;
    return 1;
}

int clinux_is_on_read_only_mount(int fd) {
    struct statfs status;
    return fstatfs(fd, &status) == 0 && (status.f_flags & 1 /* ST_RDONLY */) != 0;
}
