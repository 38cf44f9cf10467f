/* Class F: namespaces, capabilities, privilege. */
#include "attack.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sys/personality.h>
#include <sys/time.h>

/* A line of /proc/self/status, or of another task's. */
static unsigned long long field(const char *file, const char *name) {
    char line[4096];
    unsigned long long value = ~0ULL;
    FILE *status = fopen(file, "re");
    size_t length = strlen(name);
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, name, length) && line[length] == ':')
            value = strtoull(line + length + 1, NULL, strstr(name, "Cap") ? 16 : 10);
    if (status)
        fclose(status);
    return value;
}

static void capability_sets(void) {
    static const char *const names[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
    unsigned long long any = 0;
    for (size_t each = 0; each < 5; each++) {
        unsigned long long set = field("/proc/self/status", names[each]);
        print("note %s %llx\n", names[each], set);
        any |= set;
    }
    errno = EPERM;
    step("a capability in a set", any ? 0 : -1);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct all[2] = {{1 << CAP_CHOWN, 1 << CAP_CHOWN, 0}, {0}};
    step("capset", syscall(SYS_capset, &header, all));
    near("capget", syscall(SYS_capget, &header, all));
}

static char task_file[64];
static unsigned long long task_value;

static void *in_thread(void *name) {
    snprintf(task_file, sizeof task_file, "/proc/thread-self/status");
    task_value = field(task_file, name);
    return NULL;
}

static int in_process(void *name) {
    return (int)field("/proc/self/status", name);
}

static void no_new_privileges(void) {
    pthread_t thread;
    errno = EPERM;
    step("a process without it", field("/proc/self/status", "NoNewPrivs") == 1 ? -1 : 0);
    pthread_create(&thread, NULL, in_thread, "NoNewPrivs");
    pthread_join(thread, NULL);
    errno = EPERM;
    step("a thread without it", task_value == 1 ? -1 : 0);
    int child = in_child(in_process, "NoNewPrivs");
    errno = EPERM;
    step("a child without it", child == 1 ? -1 : 0);
    errno = EPERM;
    step("pid 1 without it", field("/proc/1/status", "NoNewPrivs") == 1 ? -1 : 0);
    near("taking it on again", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    near("giving it back fails", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) < 0 ? 0 : -1);
}

/* 300 runs of a set-uid root program of our own: none may change an id. */
static void own_set_uid_program(void) {
    const char *own = argument("setuid");
    int became = 0, ran = 0;
    for (int each = 0; each < 300; each++) {
        pid_t child = fork();
        if (child == 0) {
            if (getuid() == 0 && (setgroups(0, NULL) || setresgid(1500, 1500, 1500) || setresuid(1500, 1500, 1500)))
                _exit(99);
            execl(own, own, (char *)NULL);
            _exit(98);
        }
        int status;
        waitpid(child, &status, 0);
        ran += WIFEXITED(status) && WEXITSTATUS(status) < 2;
        became += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    errno = EPERM;
    step("our own set-uid program", became ? 0 : -1);
    near("it runs", ran == 300 ? 0 : -1);
}

/* 200 runs of the system's: each is asked for something only root does, and must not do it. */
static void set_uid_programs(void) {
    static const char *const programs[][6] = {
        {"/usr/bin/sudo", "-n", "true", NULL},   {"/usr/bin/su", "-c", "true", NULL},
        {"/usr/bin/pkexec", "true", NULL},       {"/usr/bin/mount", "-t", "tmpfs", "none", "/tmp", NULL},
        {"/usr/bin/newgrp", "disk", NULL},       {"/usr/bin/chfn", "-f", "x", NULL},
        {"/usr/bin/passwd", "-d", "root", NULL}, {"/usr/bin/umount", "/proc", NULL},
    };
    int tried = 0;
    for (int each = 0; each < 8; each++) {
        const char *const *command = programs[each];
        int succeeded = 0;
        if (access(command[0], F_OK))
            continue;
        for (int round = 0; round < 25; round++, tried++) {
            pid_t child = fork();
            if (child == 0) {
                int null = open("/dev/null", O_RDWR);
                dup2(null, 0);
                dup2(null, 1);
                dup2(null, 2);
                /* Those that wait for a password or a daemon have been refused. */
                setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 250000}}, NULL);
                execv(command[0], (char *const *)command);
                _exit(127);
            }
            int status;
            waitpid(child, &status, 0);
            /* newgrp, when it is refused, is not followed by a shell of the group. */
            succeeded += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        }
        errno = EPERM;
        step(command[0], succeeded ? 0 : -1);
    }
    print("note %d runs\n", tried);
    near("true", run((const char *const[]){"/bin/true", NULL}) == 0 ? 0 : -1);
}

static void file_capabilities(void) {
    /* The file has cap_net_raw+ep; a raw socket is what it is good for. `capable` says by its status. */
    const char *const command[] = {argument("capable"), NULL};
    pid_t child = fork();
    if (child == 0) {
        if (getuid() == 0 && (setgroups(0, NULL) || setresgid(1500, 1500, 1500) || setresuid(1500, 1500, 1500)))
            _exit(99);
        _exit(run(command));
    }
    int status = 0;
    waitpid(child, &status, 0);
    status = WEXITSTATUS(status);
    errno = EPERM;
    step("capability of a file", status == 0 ? 0 : -1);
    print("note status %d\n", status);
    near("a program without runs",
         (const char *const[]){"/bin/true", NULL} && run((const char *const[]){"/bin/true", NULL}) == 0 ? 0 : -1);
}

struct kind {
    const char *name;
    unsigned long flag;
};

static const struct kind kinds[] = {{"user", CLONE_NEWUSER},     {"mount", CLONE_NEWNS}, {"pid", CLONE_NEWPID},
                                    {"net", CLONE_NEWNET},       {"ipc", CLONE_NEWIPC},  {"uts", CLONE_NEWUTS},
                                    {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80}};

static int unshare_one(void *flag) {
    return unshare((int)(uintptr_t)flag) ? errno : 0;
}

static int mount_proc(void *target) {
    return mount("none", target, "proc", 0, NULL) ? 1 : 0;
}

static void namespaces(void) {
    for (size_t each = 0; each < sizeof kinds / sizeof *kinds; each++) {
        char name[64];
        snprintf(name, sizeof name, "unshare %s", kinds[each].name);
        int status = in_child(unshare_one, (void *)kinds[each].flag);
        errno = status;
        step(name, status ? -1 : 0);
        if (kinds[each].flag == 0x80)
            continue; /* clone has no bit for it */
        snprintf(name, sizeof name, "clone %s", kinds[each].name);
        long child = syscall(SYS_clone, kinds[each].flag | SIGCHLD, 0, 0, 0, 0);
        if (child == 0)
            _exit(0);
        step(name, child);
        if (child > 0)
            waitpid((pid_t)child, NULL, 0);
    }
    step("unshare user and mount",
         in_child(unshare_one, (void *)(uintptr_t)(CLONE_NEWUSER | CLONE_NEWNS)) ? (errno = EPERM, -1) : 0);
    near("fork", in_child(in_process, "NoNewPrivs") >= 0 ? 0 : -1);
}

/* What a process does that may make namespaces of its own, and holds every capability over them. */
static void inside_a_nest(void) {
    const char *target = argument("mountpoint");
    near("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS));
    step("mount tmpfs", mount("none", target, "tmpfs", 0, NULL));
    step("open_tree", close_if_open(syscall(SYS_open_tree, AT_FDCWD, target, OPEN_TREE_CLONE)));
    step("mount proc", in_child(mount_proc, (void *)(uintptr_t)target) ? (errno = EPERM, -1) : 0);
    step("bind", mount("/usr", target, NULL, MS_BIND | MS_REC, NULL));
    step("unmount", umount2(target, MNT_DETACH));
    step("fsopen", close_if_open(syscall(SYS_fsopen, "tmpfs", 0)));
    step("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
    near("status", read_some("/proc/self/status"));
}

/* Only user namespaces, for the layer that counts them out. */
static void user_namespaces(void) {
    int status = in_child(unshare_one, (void *)(uintptr_t)CLONE_NEWUSER);
    errno = status;
    step("unshare user", status ? -1 : 0);
    status = in_child(unshare_one, (void *)(uintptr_t)(CLONE_NEWUSER | CLONE_NEWNET));
    errno = status;
    step("unshare user and net", status ? -1 : 0);
    near("fork", in_child(in_process, "NoNewPrivs") >= 0 ? 0 : -1);
}

static void *nothing(void *unused) {
    return unused;
}

static void clone_three(void) {
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } how = {.exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &how, sizeof how);
    if (child == 0)
        _exit(0);
    step("clone3", child);
    how.flags = CLONE_NEWUSER;
    child = syscall(SYS_clone3, &how, sizeof how);
    if (child == 0)
        _exit(0);
    step("clone3 with a user namespace", child);
    while (wait(NULL) > 0)
        ;
    pthread_t thread;
    near("threads fall back", pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL) ? -1 : 0);
}

static void join_namespaces(void) {
    static const char *const names[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
    for (size_t each = 0; each < sizeof names / sizeof *names; each++) {
        char name[64];
        snprintf(name, sizeof name, "/proc/1/ns/%s", names[each]);
        int fd = open(name, O_RDONLY | O_CLOEXEC);
        long result = fd < 0 ? -1 : setns(fd, 0);
        /* Root outside may not join the user namespace it is in; the kernel looked, though. */
        if (result < 0 && fd >= 0 && errno == EINVAL)
            result = 0;
        step(name, result);
        close(fd);
    }
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    step("its own", setns(own, 0));
    int pidfd = (int)syscall(SYS_pidfd_open, getppid() ? getppid() : 1, 0);
    step("by pidfd", setns(pidfd, CLONE_NEWUTS));
    near("read own namespace", read_some("/proc/self/ns") >= 0 ? 0 : -1);
}

static void groups(void) {
    gid_t list[64];
    int count = getgroups(64, list), extra = 0;
    for (int each = 0; each < count; each++)
        extra += list[each] != getgid() && list[each] != 65534;
    errno = EPERM;
    step("a supplementary group", extra ? 0 : -1);
    step("file of such a group", holds(argument("group_file"), argument("token")));
    gid_t wanted = 6;
    step("setgroups", setgroups(1, &wanted));
    step("setgid", setgid(6));
    step("setuid", setuid(0) == 0 && getuid() == 0 ? 0 : -1);
    near("own group", getgid() != 0 ? 0 : -1);
}

static void release_agent(void) {
    errno = EPERM;
    int status = in_child(unshare_one, (void *)(uintptr_t)CLONE_NEWCGROUP);
    errno = status;
    step("cgroup namespace", status ? -1 : 0);
    step("mount a hierarchy", mount("none", argument("mountpoint"), "cgroup", 0, "freezer"));
    step("release_agent", open_to_write(in(argument("mountpoint"), "release_agent")));
    umount2(argument("mountpoint"), MNT_DETACH);
    near("read own cgroup", read_some("/proc/self/cgroup"));
}

static void keyrings(void) {
    step("add_key", syscall(SYS_add_key, "user", "mis-attack", "x", 1, KEY_SPEC_PROCESS_KEYRING));
    step("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
    step("user keyring", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1));
    reach("request_key", syscall(SYS_request_key, "user", "mis-attack-none", NULL, KEY_SPEC_PROCESS_KEYRING));
    near("getpid", getpid());
}

static void personalities(void) {
    unsigned long now = (unsigned long)personality(0xffffffff);
    step("READ_IMPLIES_EXEC", personality(READ_IMPLIES_EXEC));
    step("ADDR_NO_RANDOMIZE", personality(ADDR_NO_RANDOMIZE));
    step("MMAP_PAGE_ZERO", personality(MMAP_PAGE_ZERO));
    step("PER_SVR4", personality(0x0001 | 0x4000000));
    near("asking", personality(0xffffffff));
    near("PER_LINUX", personality(0));
    near("PER_LINUX32", personality(8));
    personality(now);
}

static void process_controls(void) {
    reach("PR_SET_MM", prctl(PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0));
    step("PR_SET_SECUREBITS", prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0));
    step("PR_CAPBSET_DROP", prctl(PR_CAPBSET_DROP, CAP_WAKE_ALARM, 0, 0, 0));
    /* Raising needs the capability in two sets, which the control arranges. */
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    syscall(SYS_capget, &header, data);
    data[0].inheritable |= 1 << CAP_CHOWN;
    syscall(SYS_capset, &header, data);
    prctl(PR_SET_SECUREBITS, 0, 0, 0, 0);
    step("PR_CAP_AMBIENT_RAISE", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    near("PR_SET_NAME", prctl(PR_SET_NAME, "attack", 0, 0, 0));
    near("PR_GET_SECUREBITS", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
}

ATTACKS({"C072", capability_sets}, {"C073", no_new_privileges}, {"C074", own_set_uid_program},
        {"C074b", set_uid_programs}, {"C075", file_capabilities}, {"C076", namespaces}, {"C076b", user_namespaces},
        {"C076c", inside_a_nest}, {"C077", clone_three}, {"C078", join_namespaces}, {"C080", groups},
        {"C081", release_agent}, {"C082", keyrings}, {"C083", personalities}, {"C084", process_controls})
