#define _GNU_SOURCE
#include "clinux_machine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Newer than the headers this is built with (Linux 6.8); the number is the same on every architecture. */
#ifndef SYS_lsm_list_modules
#define SYS_lsm_list_modules 461
#endif

int clinux_capability_sets(uint64_t *effective, uint64_t *permitted) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    *effective = data[0].effective | (uint64_t)data[1].effective << 32;
    *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    return 0;
}

int clinux_capability_known(unsigned number) {
    return prctl(PR_CAPBSET_READ, number) >= 0;
}

int clinux_seccomp_action_available(uint32_t action) {
    return (int)syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

int clinux_security_modules(uint64_t *identifiers, unsigned capacity) {
    uint32_t size = capacity * sizeof *identifiers;
    return (int)syscall(SYS_lsm_list_modules, identifiers, &size, 0);
}

int clinux_processors(void) {
    unsigned long mask[128] = {0};
    long size = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    int count = 0;
    for (long i = 0; i < size / (long)sizeof *mask; i++)
        count += __builtin_popcountl(mask[i]);
    return count > 0 ? count : 1;
}

int clinux_is_privileged_execution(void) {
    return getauxval(AT_SECURE) != 0;
}

struct trial_result {
    int stage, error;
};

static struct trial_result trial(void) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) < 0)
        return (struct trial_result){clinux_trial_namespace, errno};
    /* AppArmor on Ubuntu lets the namespace be made and takes away what it is good for. */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return (struct trial_result){clinux_trial_mount, errno};
    /* A new /proc shows the pid namespace of whoever mounts it: that takes a child. */
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child < 0)
        return (struct trial_result){clinux_trial_process, errno};
    if (child == 0)
        _exit(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? errno : 0);
    int status = 0;
    while (waitpid((pid_t)child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return (struct trial_result){clinux_trial_proc, WIFEXITED(status) ? WEXITSTATUS(status) : EINTR};
    return (struct trial_result){clinux_trial_done, 0};
}

int clinux_try_user_namespace(int *error) {
    int ends[2];
    struct trial_result result = {clinux_trial_process, 0};
    if (pipe(ends) < 0) {
        *error = errno;
        return result.stage;
    }
    pid_t child = fork();
    if (child == 0) {
        result = trial();
        _exit(write(ends[1], &result, sizeof result) == sizeof result ? 0 : 1);
    }
    result.error = errno;
    close(ends[1]);
    if (child > 0) {
        if (read(ends[0], &result, sizeof result) != sizeof result)
            result = (struct trial_result){clinux_trial_process, EIO};
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    close(ends[0]);
    *error = result.error;
    return result.stage;
}
