/*
 * The guardian: a process outside the sandbox that outlives a killed supervisor and undoes everything.
 *
 * It shares the launcher's memory and descriptor table (CLONE_VM | CLONE_FILES): a fanotify group, whose end would
 * have the kernel allow every pending access, stays open until the agent is dead; and what there is to undo needs
 * no message. It makes raw system calls only, on a stack of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "claunch.h"
#include "clone.h"
#include "raw_syscall.h"

static void wait_readable(int fd, int milliseconds) {
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    struct {
        long seconds, nanoseconds;
    } limit = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    while (raw5(SYS_ppoll, &watched, 1, milliseconds < 0 ? NULL : &limit, NULL, 0) == -EINTR)
        ;
}

static void nap(long milliseconds) {
    struct {
        long seconds, nanoseconds;
    } time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    raw2(SYS_nanosleep, &time, NULL);
}

static void remove_runtime(const char *folder) {
    if (!*folder)
        return;
    long directory = raw4(SYS_openat, AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (directory < 0)
        return;
    /* struct linux_dirent64: inode, offset, length (u16), type (u8), name. */
    static _Alignas(8) char entries[4096];
    long size;
    while ((size = raw3(SYS_getdents64, directory, entries, sizeof entries)) > 0)
        for (long at = 0; at < size;) {
            const char *name = entries + at + 19;
            if (!(name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]))))
                raw3(SYS_unlinkat, directory, name, 0);
            at += *(unsigned short *)(void *)(entries + at + 16);
        }
    raw1(SYS_close, directory);
    raw3(SYS_unlinkat, AT_FDCWD, folder, AT_REMOVEDIR);
}

static void guard(void *argument) {
    struct mis_guard *guard = argument;
    uint64_t all = ~0ull;
    raw4(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
    /* Out of the terminal's and the caller's process group: a Ctrl-C or a group kill is not meant for it. */
    raw0(SYS_setsid);
    /* Nothing is to be guarded yet, and the launcher is in a hurry: what it would take a page fault each for is filled
     * in here, at once. Kernels before 5.14 refuse, which does no harm. */
    for (uint32_t i = 0; i < guard->ahead_count; i++)
        raw3(SYS_madvise, guard->ahead[i].start, guard->ahead[i].size, MADV_POPULATE_WRITE);
    wait_readable(guard->supervisor, -1);
    if (__atomic_load_n(&guard->is_disarmed, __ATOMIC_ACQUIRE)) {
        /* Whoever reads the launcher's output is not kept waiting for what is slow to close: notification groups
         * take milliseconds. */
        raw3(SYS_close_range, 0, 2, 0);
        for (;;)
            raw1(SYS_exit_group, 0);
    }
    int kill_file = __atomic_load_n(&guard->kill_file, __ATOMIC_ACQUIRE);
    if (kill_file >= 0)
        raw3(SYS_write, kill_file, "1", 1);
    int agent = __atomic_load_n(&guard->agent, __ATOMIC_ACQUIRE);
    if (agent >= 0) {
        /* Pid 1 of the sandbox: with it, the kernel ends all of its pid namespace. */
        raw4(SYS_pidfd_send_signal, agent, SIGKILL, NULL, 0);
        wait_readable(agent, 10000);
    }
    uint32_t count = __atomic_load_n(&guard->cgroup_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count && i < mis_guardian_path_count; i++)
        /* Busy until the last task is gone. */
        for (int attempt = 0; attempt < 1000; attempt++) {
            long result = raw3(SYS_unlinkat, AT_FDCWD, guard->cgroups[i], AT_REMOVEDIR);
            if (result != -EBUSY)
                break;
            nap(attempt < 20 ? 1 : 20);
        }
    remove_runtime(guard->runtime);
    for (;;)
        raw1(SYS_exit_group, 0);
}

int mis_clone_guardian(struct mis_guard *guard_data, void *stack, size_t stack_size, int *pidfd) {
    return (int)mis_clone_sharing_memory(CLONE_FILES, -1, stack, stack_size, guard, guard_data, 0, pidfd);
}

void mis_guard_disarm(struct mis_guard *guard_data) {
    __atomic_store_n(&guard_data->is_disarmed, 1, __ATOMIC_RELEASE);
}

void mis_guard_set_kill_file(struct mis_guard *guard_data, int fd) {
    __atomic_store_n(&guard_data->kill_file, fd, __ATOMIC_RELEASE);
}

int mis_guard_add_cgroup(struct mis_guard *guard_data, const char *path) {
    uint32_t count = guard_data->cgroup_count;
    if (count >= mis_guardian_path_count || strlen(path) >= mis_guardian_path_length)
        return 0;
    strcpy(guard_data->cgroups[count], path);
    __atomic_store_n(&guard_data->cgroup_count, count + 1, __ATOMIC_RELEASE);
    return 1;
}

void mis_guard_fill(struct mis_guard *guard_data, void *start, size_t size) {
    if (start && guard_data->ahead_count < mis_guardian_range_count)
        guard_data->ahead[guard_data->ahead_count++] = (struct mis_range){.start = start, .size = size};
}

int mis_guard_set_runtime(struct mis_guard *guard_data, const char *path) {
    if (strlen(path) >= mis_guardian_path_length)
        return 0;
    strcpy(guard_data->runtime, path);
    return 1;
}
