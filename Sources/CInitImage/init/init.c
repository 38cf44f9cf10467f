/*
 * The sandbox's pid 1: reaps, forwards signals, reports the agent's real wait status.
 *
 * A static ELF without libc, executed from a memfd when all set-up is done. It starts with the agent's ids, no
 * capabilities, no_new_privs, Landlock and seccomp already on: it can do nothing the agent could not. It makes
 * itself non-dumpable, so that the agent can neither trace it nor open /proc/1/exe, /proc/1/fd or its memory.
 *
 * argv: [0] name, [1] option letters (init_protocol.h), [2...] the agent's command.
 */
#include <stddef.h>
#include <stdint.h>
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/close_range.h>
#include <linux/errno.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/signal.h>

#include "init_protocol.h"
#include "raw_syscall.h"

/* From the uapi headers that clash with each other when included together. */
#define WNOHANG 1
#define WUNTRACED 2
#define WCONTINUED 8
#define SFD_FLAGS 02004000 /* SFD_NONBLOCK | SFD_CLOEXEC */
#define MSG_NOSIGNAL 0x4000
#define F_DUPFD_CLOEXEC 1030

#define PATH_LENGTH 4096

static void __attribute__((noreturn)) leave(int status) {
    for (;;)
        raw1(__NR_exit_group, status);
}

static void tell(uint32_t kind, int32_t value) {
    struct mis_init_message message = {kind, value};
    raw6(__NR_sendto, mis_fd_status, (long)&message, sizeof message, MSG_NOSIGNAL, 0, 0);
}

static size_t length(const char *text) {
    size_t n = 0;
    while (text[n])
        n++;
    return n;
}

static int has(const char *text, char letter) {
    for (; *text; text++)
        if (*text == letter)
            return 1;
    return 0;
}

static const char *variable(char *const *environment, const char *name) {
    size_t n = length(name);
    for (; *environment; environment++) {
        size_t i = 0;
        while (i < n && (*environment)[i] == name[i])
            i++;
        if (i == n && (*environment)[n] == '=')
            return *environment + n + 1;
    }
    return NULL;
}

/* execvp without the fallback to a shell: a file the kernel will not execute is reported as such. */
static int execute(char *const *arguments, char *const *environment) {
    const char *name = arguments[0];
    if (!*name)
        return ENOENT;
    if (has(name, '/'))
        return -raw3(__NR_execve, name, arguments, environment);
    const char *path = variable(environment, "PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    static char candidate[PATH_LENGTH];
    size_t name_length = length(name);
    int refused = 0;
    for (;;) {
        size_t n = 0;
        while (path[n] && path[n] != ':')
            n++;
        if (n + name_length + 3 <= sizeof candidate) {
            size_t at = 0;
            for (size_t i = 0; i < n; i++)
                candidate[at++] = path[i];
            if (!n)
                candidate[at++] = '.';
            candidate[at++] = '/';
            for (size_t i = 0; i <= name_length; i++)
                candidate[at++] = name[i];
            int error = -raw3(__NR_execve, candidate, arguments, environment);
            if (error != ENOENT && error != ENOTDIR) {
                if (error != EACCES)
                    return error;
                refused = error;
            }
        }
        if (!path[n])
            return refused ? refused : ENOENT;
        path += n + 1;
    }
}

static void __attribute__((noreturn))
become_agent(const char *options, char *const *arguments, char *const *environment) {
    /* A process group of its own, made foreground before the command starts, so that job control in the pid
     * namespace works and the group is not an orphan: init, its parent, is in the same session. */
    raw2(__NR_setpgid, 0, 0);
    if (has(options, MIS_INIT_TERMINAL)) {
        int32_t group = (int32_t)raw0(__NR_getpid);
        raw3(__NR_ioctl, mis_fd_terminal, TIOCSPGRP, &group);
    }
    uint64_t none = 0;
    raw4(__NR_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
    raw3(__NR_close_range, has(options, MIS_INIT_REASONING) ? mis_fd_reasoning + 1 : mis_fd_reasoning, ~0u,
         CLOSE_RANGE_CLOEXEC);
    int error = execute(arguments, environment);
    tell(mis_init_exec_failed, error);
    leave(error == ENOENT || error == ENOTDIR ? 127 : 126);
}

/* Reaps whatever has ended; does not return when the agent itself has. */
static void reap(int agent) {
    for (;;) {
        int status = 0;
        int pid = (int)raw4(__NR_wait4, -1, &status, WNOHANG | WUNTRACED | WCONTINUED, NULL);
        if (pid <= 0)
            return;
        if (pid != agent)
            continue;
        if (status == 0xffff)
            tell(mis_init_continued, 0);
        else if ((status & 0xff) == 0x7f)
            tell(mis_init_stopped, (status >> 8) & 0xff);
        else {
            tell(mis_init_ended, status);
            /* The kernel kills everything left in the pid namespace. */
            leave(0);
        }
    }
}

static void forward(int agent, int signal) {
    switch (signal) {
    case SIGCHLD:
        return;
    case SIGTSTP:
    case SIGCONT:
        raw2(__NR_kill, -agent, signal);
        return;
    default:
        raw2(__NR_kill, agent, signal);
    }
}

static void __attribute__((noreturn)) supervise(int agent, int signals) {
    for (;;) {
        struct pollfd watched[2] = {{signals, POLLIN, 0}, {mis_fd_status, 0, 0}};
        struct {
            long seconds, nanoseconds;
        } *forever = NULL;
        /* Whatever could make this fail for good would leave a sandbox without its init: better none. */
        long ready = raw5(__NR_ppoll, watched, 2, forever, NULL, 0);
        if ((ready < 0 && ready != -EINTR) || watched[0].revents & POLLNVAL)
            leave(0);
        /* The supervisor is gone: nothing may go on without it. */
        if (watched[1].revents & (POLLHUP | POLLERR))
            leave(0);
        /* struct signalfd_siginfo: 128 bytes, the signal number first. */
        struct {
            uint32_t number;
            uint8_t rest[124];
        } information;
        while (raw3(__NR_read, signals, &information, sizeof information) == sizeof information)
            forward(agent, (int)information.number);
        reap(agent);
    }
}

static void __attribute__((noreturn, used)) start(long *stack) {
    char *const *arguments = (char *const *)(stack + 1);
    char *const *environment = arguments + stack[0] + 1;
    const char *options = arguments[1];

    long failed = raw5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    uint64_t all = ~0ull;
    if (failed >= 0)
        failed = raw4(__NR_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
    /* Above every number the protocol speaks of, whichever of those are open. */
    int low = (int)raw4(__NR_signalfd4, -1, &all, sizeof all, SFD_FLAGS);
    int signals = (int)raw3(__NR_fcntl, low, F_DUPFD_CLOEXEC, mis_fd_terminal + 1);
    if (signals != low)
        raw1(__NR_close, low);
    if (failed >= 0)
        failed = signals < 0 ? signals : raw0(__NR_setsid);
    if (failed >= 0 && has(options, MIS_INIT_TERMINAL))
        failed = raw3(__NR_ioctl, mis_fd_terminal, TIOCSCTTY, 0);
    if (failed < 0) {
        /* Before `ready`: to the launcher this is a set-up that failed. */
        tell(mis_init_exec_failed, (int32_t)-failed);
        leave(125);
    }
    tell(mis_init_ready, 0);

    int agent = (int)raw5(__NR_clone, SIGCHLD, 0, 0, 0, 0);
    if (agent == 0)
        become_agent(options, arguments + 2, environment);
    if (agent < 0) {
        tell(mis_init_exec_failed, -agent);
        leave(126);
    }
    /* Both sides set the group: whichever runs first, it is set before anything depends on it. */
    raw2(__NR_setpgid, agent, agent);
    /* Only the supervisor's hang-up and signals matter from here on; the agent's terminal is its own. */
    for (int fd = 0; fd < mis_fd_status; fd++)
        raw1(__NR_close, fd);
    if (has(options, MIS_INIT_TERMINAL))
        raw1(__NR_close, mis_fd_terminal);
    supervise(agent, signals);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x29, #0\n mov x0, sp\n bl start\n");
#endif
