/*
 * Puts on one of the sandbox's layers, and nothing else, and runs a program under it.
 *
 *   layer dump PID                        the system call filter of a running process, to stdout
 *   layer filter FILE COMMAND...          under such a filter
 *   layer landlock FILE COMMAND...        under Landlock: first line "HANDLED SCOPED", then "ACCESS PATH" lines
 *   layer capabilities COMMAND...         without any capability, still as uid 0
 */
#include "attack.h"
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/ptrace.h>

static int fail(const char *what) {
    perror(what);
    return 70;
}

static int dump(pid_t pid) {
    if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) || waitpid(pid, NULL, __WALL) < 0)
        return fail("ptrace");
    long count = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, NULL, NULL);
    struct sock_filter *program = calloc(BPF_MAXINSNS, sizeof *program);
    if (count > 0 && program)
        count = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, NULL, program);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    if (count <= 0 || !program)
        return fail("PTRACE_SECCOMP_GET_FILTER");
    return write(1, program, (size_t)count * sizeof *program) < 0 ? fail("write") : 0;
}

static int filter(const char *file) {
    static struct sock_filter program[BPF_MAXINSNS];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, program, sizeof program);
    if (size <= 0)
        return fail(file);
    struct sock_fprog whole = {(unsigned short)((size_t)size / sizeof *program), program};
    for (unsigned short each = 0; each < whole.len; each++)
        /* Refusals are told to the supervisor and answered EPERM; here there is none to ask. */
        if (program[each].code == (BPF_RET | BPF_K) && program[each].k == SECCOMP_RET_USER_NOTIF)
            program[each].k = SECCOMP_RET_ERRNO | EPERM;
    /* As root no_new_privs is not needed, and stays off: it is a layer of its own. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &whole) == 0)
        return 0;
    return fail("seccomp");
}

static int landlock(const char *file) {
    FILE *rules = fopen(file, "re");
    unsigned long long handled, scoped, access;
    char path[4096];
    if (!rules || fscanf(rules, "%llu %llu", &handled, &scoped) != 2)
        return fail(file);
    /* handled_access_fs, handled_access_net, scoped: what the headers here may not name yet. */
    uint64_t raw[3] = {handled, 0, scoped};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, raw, sizeof raw, 0);
    if (ruleset < 0)
        return fail("landlock_create_ruleset");
    while (fscanf(rules, "%llu %4095s", &access, path) == 2) {
        struct landlock_path_beneath_attr rule = {.allowed_access = access,
                                                  .parent_fd = open(path, O_PATH | O_CLOEXEC)};
        if (rule.parent_fd >= 0 && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
            return fail(path);
        close(rule.parent_fd);
    }
    fclose(rules);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, ruleset, 0))
        return fail("landlock_restrict_self");
    return 0;
}

static int capabilities(void) {
    for (int each = 0; each < 64; each++)
        prctl(PR_CAPBSET_DROP, each, 0, 0, 0);
    if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0))
        return fail("securebits");
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}, {0}};
    return syscall(SYS_capset, &header, none) ? fail("capset") : 0;
}

int main(int count, char **arguments) {
    if (count == 3 && !strcmp(arguments[1], "dump"))
        return dump(atoi(arguments[2]));
    int status = 64;
    char **command = arguments + 3;
    if (count > 3 && !strcmp(arguments[1], "filter"))
        status = filter(arguments[2]);
    else if (count > 3 && !strcmp(arguments[1], "landlock"))
        status = landlock(arguments[2]);
    else if (count > 2 && !strcmp(arguments[1], "capabilities")) {
        status = capabilities();
        command = arguments + 2;
    }
    if (status)
        return status;
    execvp(*command, command);
    return fail(*command);
}
