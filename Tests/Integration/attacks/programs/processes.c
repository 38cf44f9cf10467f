/* Class I, and D's programs: signals, descriptors, other processes, and what may be executed. */
#include "attack.h"
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/* The process that stands for the user's others: by name where it is listed, else by the number it has on the host. */
static pid_t neighbour(void) {
    DIR *folder = opendir("/proc");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (atol(entry->d_name) > 0 && holds(in(in("/proc", entry->d_name), "comm"), "mis-neighbour") == 0)
            return (pid_t)atol(entry->d_name);
    return (pid_t)atol(argument("pid"));
}

static void signals(void) {
    pid_t other = neighbour(), child = fork();
    if (child == 0)
        for (;;)
            pause();
    step("probe the neighbour", kill(other, 0));
    step("stop the neighbour", kill(other, SIGSTOP));
    step("continue the neighbour", kill(other, SIGCONT));
    step("end the neighbour", kill(other, SIGKILL));
    near("end a child", kill(child, SIGKILL));
    near("the child is gone", waitpid(child, NULL, 0) == child ? 0 : -1);
}

/* Everything one can signal: the sandbox's own processes, and nothing else. */
static void everybody(void) {
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    kill(1, SIGKILL);
    near("kill(-1)", kill(-1, SIGKILL));
    near("the child is gone", waitpid(child, NULL, 0) == child ? 0 : -1);
    near("pid 1 is there", kill(1, 0));
}

static void descriptors(void) {
    DIR *folder = opendir("/proc/self/fd");
    long extra = -1, standard = 0;
    const char *reasoning = getenv("MIS_REASONING_FD");
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        long number = atol(entry->d_name);
        if (entry->d_name[0] == '.' || number == dirfd(folder))
            continue;
        if (number <= 2)
            standard++;
        else if (!reasoning || number != atol(reasoning)) {
            char target[4096] = "";
            if (readlink(in("/proc/self/fd", entry->d_name), target, sizeof target - 1) >= 0)
                print("note %s -> %s\n", entry->d_name, target);
            extra = 0;
        }
    }
    errno = EBADF;
    step("a descriptor above 2", extra);
    errno = EBADF;
    near("0, 1 and 2", standard == 3 ? 0 : -1);
    /* The one above 2 that is announced only takes lines. */
    if (reasoning) {
        char byte;
        near("reasoning is written", write(atoi(reasoning), "attack\n", 7));
        step("reasoning is read", read(atoi(reasoning), &byte, 1));
    } else
        refused("reasoning is read", "EBADF");
}

static pid_t sleeping_child(void) {
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

static void pidfds(void) {
    pid_t child = sleeping_child();
    int own = (int)syscall(SYS_pidfd_open, child, 0);
    near("pidfd of a child", own);
    step("descriptor of a child", close_if_open(syscall(SYS_pidfd_getfd, own, 0, 0)));
    int first = (int)syscall(SYS_pidfd_open, 1, 0);
    step("descriptor of pid 1", close_if_open(syscall(SYS_pidfd_getfd, first, 0, 0)));
    step("pidfd of the neighbour", close_if_open(syscall(SYS_pidfd_open, neighbour(), 0)));
    kill(child, SIGKILL);
    near("wait", waitpid(child, NULL, 0) == child ? 0 : -1);
}

static void tracing(void) {
    static char word[16] = "word";
    char copy[16];
    pid_t child = sleeping_child();
    struct iovec here = {copy, sizeof copy}, there = {word, sizeof word};
    step("attach", ptrace(PTRACE_ATTACH, child, 0, 0));
    pid_t second = sleeping_child();
    step("seize", ptrace(PTRACE_SEIZE, second, 0, 0));
    kill(second, SIGKILL);
    step("process_vm_readv", process_vm_readv(child, &here, 1, &there, 1, 0));
    step("process_vm_writev", process_vm_writev(child, &there, 1, &there, 1, 0));
    kill(child, SIGKILL);
    near("wait", waitpid(child, NULL, 0) == child && waitpid(second, NULL, 0) == second ? 0 : -1);
}

/* pid 1, which knows what the agent must not: its memory, its program, its descriptors. */
static void first_process(void) {
    step("memory of pid 1", close_if_open(open("/proc/1/mem", O_RDWR)));
    step("program of pid 1", close_if_open(open("/proc/1/exe", O_RDONLY)));
    step("write the program of pid 1", open_to_write("/proc/1/exe"));
    step("descriptors of pid 1", close_if_open(open("/proc/1/fd", O_RDONLY | O_DIRECTORY)));
    step("a descriptor of pid 1", close_if_open(open("/proc/1/fd/0", O_RDONLY | O_NONBLOCK)));
    step("root of pid 1", close_if_open(open("/proc/1/root", O_PATH | O_DIRECTORY)));
    step("folder of pid 1", close_if_open(open("/proc/1/cwd", O_PATH | O_DIRECTORY)));
    step("environment of pid 1", read_some("/proc/1/environ"));
    step("maps of pid 1", read_some("/proc/1/maps"));
    step("trace pid 1", ptrace(PTRACE_SEIZE, 1, 0, 0));
    near("status of pid 1", read_some("/proc/1/status"));
    near("own memory", close_if_open(open("/proc/self/mem", O_RDWR)));
}

/* Programs that lie where none may run, and one that is denied by name, by every way to it. */
static void programs(void) {
    const char *true_copy = argument("unlisted");
    step("from a read-only folder", run((const char *const[]){true_copy, NULL}) == 0 ? 0 : (errno = EACCES, -1));
    near("the same from the workspace", run((const char *const[]){argument("listed"), NULL}) == 0 ? 0 : -1);
    near("of the system", run((const char *const[]){"/bin/true", NULL}) == 0 ? 0 : -1);
}

static long copied_to(const char *folder) {
    const char *target = in(folder, "mis-attack-program");
    int from = open(argument("listed"), O_RDONLY), to = open(target, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    char buffer[65536];
    ssize_t size;
    while (from >= 0 && to >= 0 && (size = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, (size_t)size) != size)
            return -1;
    close(from);
    if (to < 0 || close(to))
        return -1;
    int status = run((const char *const[]){target, NULL});
    unlink(target);
    errno = EACCES;
    return status == 0 ? 0 : -1;
}

static void temporary_programs(void) {
    step("from /dev/shm", copied_to("/dev/shm"));
    step("from /tmp", copied_to("/tmp"));
    step("from home", copied_to(argument("home")));
    near("from the workspace", copied_to(argument("ws")));
}

static void mapped_code(void) {
    static const char *const folders[] = {"/dev/shm", "/tmp"};
    for (int each = 0; each < 2; each++) {
        const char *path = in(folders[each], "mis-attack-code");
        create(path, "\xc3 code of one instruction");
        int fd = open(path, O_RDONLY);
        void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
        step(folders[each], code == MAP_FAILED ? -1 : 0);
        if (code != MAP_FAILED)
            munmap(code, 4096);
        void *data = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
        near("mapped for reading", data == MAP_FAILED ? -1 : 0);
        if (data != MAP_FAILED) {
            char name[64];
            snprintf(name, sizeof name, "%s, made executable later", folders[each]);
            step(name, mprotect(data, 4096, PROT_READ | PROT_EXEC));
        }
        close(fd);
        unlink(path);
    }
}

static void roundabout(void) {
    const char *denied = argument("denied_program"), *ws = argument("ws");
    char shell[8192];
    snprintf(shell, sizeof shell, "%s", denied);
#define try_it(name, ...) step(name, run((const char *const[]){__VA_ARGS__, NULL}) == 0 ? 0 : (errno = EACCES, -1))
    try_it("directly", denied);
    try_it("sh -c", "/bin/sh", "-c", shell);
    try_it("env", "/usr/bin/env", denied);
    snprintf(shell, sizeof shell, "echo | xargs %s", denied);
    try_it("xargs", "/bin/sh", "-c", shell);
    try_it("nice", "/usr/bin/nice", denied);
    snprintf(shell, sizeof shell, "find %s -maxdepth 0 -exec %s ';' | grep -q . && exit 1; %s", ws, denied, denied);
    try_it("find -exec", "/bin/sh", "-c", shell);
    try_it("the loader", "/lib64/ld-linux-x86-64.so.2", denied);
    try_it("/proc/self/root", in("/proc/self/root", denied));
    unlink(in(ws, "alias"));
    near("make a link", symlink(denied, in(ws, "alias")));
    try_it("by a link", in(ws, "alias"));
    try_it("doubled slashes", in(ws, "/.//deny-folder//./true"));
    create(in(ws, "script"), "");
    int fd = open(in(ws, "script"), O_WRONLY | O_TRUNC);
    dprintf(fd, "#!%s\n", denied);
    close(fd);
    chmod(in(ws, "script"), 0755);
    try_it("as an interpreter", in(ws, "script"));
    fd = open(denied, O_PATH);
    snprintf(shell, sizeof shell, "/proc/self/fd/%d", fd);
    try_it("by descriptor", shell);
    unlink(in(ws, "alias"));
    unlink(in(ws, "script"));
    near("its neighbour runs", run((const char *const[]){argument("listed"), NULL}) == 0 ? 0 : -1);
}

static void core_files(void) {
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    errno = EPERM;
    step("a core file", core.rlim_max > 1 ? 0 : -1);
    /* core(5), fs/coredump.c: a limit of 0 does not keep a handler that is a pipe from being started; 1 does. */
    step("a core handler of the host's", core.rlim_max != 1 ? 0 : -1);
    step("raise it", setrlimit(RLIMIT_CORE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}));
    near("getrlimit", getrlimit(RLIMIT_CORE, &core));
}

static void interpreters(void) {
    step("register", open_to_write("/proc/sys/fs/binfmt_misc/register"));
    step("status", open_to_write("/proc/sys/fs/binfmt_misc/status"));
    step("mount", mount("none", argument("mountpoint"), "binfmt_misc", 0, NULL));
    umount2(argument("mountpoint"), MNT_DETACH);
    near("a script", run((const char *const[]){"/bin/sh", "-c", "true", NULL}) == 0 ? 0 : -1);
}

static void background(void) {
    for (int each = 0; each < 20; each++) {
        pid_t child = fork();
        if (child == 0) {
            if (each % 2)
                setsid();
            signal(SIGTERM, SIG_IGN);
            signal(SIGHUP, SIG_IGN);
            prctl(PR_SET_NAME, argument("name"));
            close(0), close(1), close(2);
            for (;;)
                pause();
        }
    }
    usleep(50000);
}

ATTACKS({"C117", signals}, {"C117b", everybody}, {"C119", background}, {"C120", descriptors}, {"C121", pidfds},
        {"C126", tracing}, {"C015", first_process}, {"C052", programs}, {"C053", temporary_programs},
        {"C055", mapped_code}, {"C057", roundabout}, {"C060", core_files}, {"C061", interpreters})
