/*
 * What every attack program says, and how.
 *
 * A program is called with a case's number and name=value arguments. It tries each step of its attack and prints one
 * line for it: "step NAME ok" when the step succeeded, else "step NAME ERRNO". What honest programs do beside it is
 * printed as "near NAME ok". The tests compare these lines: outside every step must be ok, inside none.
 */
#ifndef ATTACK_H
#define ATTACK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char **attack_arguments;

/* The value of the argument `name`, or "" when it was not given. */
static inline const char *argument(const char *name) {
    size_t length = strlen(name);
    for (char **each = attack_arguments; each && *each; each++)
        if (!strncmp(*each, name, length) && (*each)[length] == '=')
            return *each + length + 1;
    return "";
}

static inline const char *outcome(long result) {
    if (result >= 0)
        return "ok";
    const char *name = strerrorname_np(errno);
    return name ? name : "E?";
}

static inline void print(const char *format, ...) {
    int kept = errno;
    char line[4096];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (size > 0 && write(1, line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1) < 0)
        _exit(99);
    errno = kept;
}

/* A step of the attack: a negative result is a refusal, told by errno. */
static inline long step(const char *name, long result) {
    print("step %s %s\n", name, outcome(result));
    return result;
}

/* A step that asks with arguments that cannot work: it counts as a success when the kernel's own code looked at them,
   so that an attack that would harm the machine can have its control. */
static inline void reach(const char *name, long result) {
    if (result < 0 && errno != EPERM && errno != EACCES && errno != ENOSYS)
        result = 0;
    print("step %s %s\n", name, outcome(result));
}

/* The same for calls whose feature this kernel may lack; ENOENT, EAFNOSUPPORT and the like then refuse by themselves.
 */
static inline void refused(const char *name, const char *why) {
    print("step %s %s\n", name, why);
}

/* What an honest program does beside the attack. */
static inline long near(const char *name, long result) {
    print("near %s %s\n", name, outcome(result));
    return result;
}

static inline long close_if_open(long fd) {
    if (fd >= 0)
        close((int)fd);
    return fd;
}

/* Opens and reads something of a file or a folder. */
static inline long read_some(const char *path) {
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    char buffer[4096];
    long result = read(fd, buffer, sizeof buffer);
    if (result < 0 && errno == EISDIR)
        result = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    int kept = errno;
    close(fd);
    errno = kept;
    return result;
}

/* Whether what is read at `path` holds `text`: -1 and the errno, or ENODATA when it does not. */
static inline long holds(const char *path, const char *text) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    char buffer[65536];
    ssize_t size = read(fd, buffer, sizeof buffer - 1);
    int kept = errno;
    close(fd);
    errno = kept;
    if (size < 0)
        return -1;
    buffer[size] = 0;
    if (memmem(buffer, (size_t)size, text, strlen(text)))
        return 0;
    errno = ENODATA;
    return -1;
}

/* The same for an open descriptor, which is closed. */
static inline long descriptor_holds(long fd, const char *text) {
    char path[64];
    if (fd < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%ld", fd);
    long result = holds(path, text);
    int kept = errno;
    close((int)fd);
    errno = kept;
    return result;
}

static inline long open_to_write(const char *path) {
    return close_if_open(open(path, O_WRONLY | O_CLOEXEC));
}

static inline long write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    long result = write(fd, text, strlen(text));
    int kept = errno;
    close(fd);
    errno = kept;
    return result;
}

static inline long create(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -1;
    long result = *text ? write(fd, text, strlen(text)) : 0;
    close(fd);
    return result;
}

/* path/name; never freed, since these programs are over soon. */
static inline const char *in(const char *folder, const char *name) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        _exit(98);
    return path;
}

/* Runs `deed` in a child and says with which status it ended; signal N counts as 128+N. */
static inline int in_child(int (*deed)(void *), void *context) {
    pid_t child = fork();
    if (child == 0)
        _exit(deed(context));
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Runs a program without its output and says with which status it ended. */
static inline int run(const char *const command[]) {
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execvp(command[0], (char *const *)command);
        _exit(errno == EACCES ? 126 : errno == EPERM ? 125 : 127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct attack {
    const char *number;
    void (*run)(void);
};

#define ATTACKS(...)                                                                                                   \
    int main(int count, char **arguments) {                                                                            \
        static const struct attack attacks[] = {__VA_ARGS__};                                                          \
        attack_arguments = arguments + (count < 2 ? 1 : 2);                                                            \
        for (size_t each = 0; count > 1 && each < sizeof attacks / sizeof *attacks; each++)                            \
            if (!strcmp(attacks[each].number, arguments[1])) {                                                         \
                attacks[each].run();                                                                                   \
                print("done\n");                                                                                       \
                return 0;                                                                                              \
            }                                                                                                          \
        print("unknown case\n");                                                                                       \
        return 64;                                                                                                     \
    }
#endif
