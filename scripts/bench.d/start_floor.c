/* What the kernel alone takes for a sandbox of this kind: the shortest program that makes one, in plain C.
 *
 *     start_floor WORKSPACE COMMAND ARG...
 *
 * Every namespace, a private root of the system's folders and the workspace, /proc, a small /dev, /tmp, loopback,
 * Landlock, and the system-call filter of descriptor 9. No profile, no masks, no limits, no supervisor, no record: not
 * a sandbox to use, but what is left over a bare start when a launcher itself costs nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILTER_DESCRIPTOR = 9, MAXIMUM_PATH = 4096 };

static long need(long result, const char *doing) {
    if (result < 0) {
        fprintf(stderr, "start_floor: %s: %s\n", doing, strerror(errno));
        _exit(125);
    }
    return result;
}

static void write_text(const char *path, const char *text) {
    int file = (int)need(open(path, O_WRONLY | O_CLOEXEC), path);
    need(write(file, text, strlen(text)), path);
    close(file);
}

static int new_file_system(const char *type) {
    int context = (int)need(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), type);
    need(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), type);
    int mount = (int)need(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), type);
    close(context);
    return mount;
}

static void attach(int mount, int root, const char *path) {
    need(syscall(SYS_move_mount, mount, "", root, path, MOVE_MOUNT_F_EMPTY_PATH), path);
    close(mount);
}

/* A folder of the host, with all that lies on the way to it made first. */
static void show(int root, const char *source, uint64_t attributes) {
    int mount = (int)syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (mount < 0 && errno == ENOENT)
        return;
    need(mount, source);
    struct mount_attr change = {.attr_set = attributes};
    need(syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &change, sizeof change), source);
    char path[MAXIMUM_PATH];
    snprintf(path, sizeof path, "%s", source + 1);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdirat(root, path, 0755);
        *slash = '/';
    }
    mkdirat(root, path, 0755);
    attach(mount, root, path);
}

static void show_device(int root, const char *source) {
    close((int)need(openat(root, source + 1, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), source));
    int mount = (int)need(syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), source);
    attach(mount, root, source + 1);
}

static void make_root(const char *workspace) {
    struct mount_attr alone = {.propagation = 1 << 18 /* MS_PRIVATE */};
    need(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &alone, sizeof alone), "cut propagation");
    int file_system = new_file_system("tmpfs");
    need(syscall(SYS_move_mount, file_system, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH), "/tmp");
    close(file_system);
    int root = (int)need(open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC), "/tmp");
    static const char *const system[] = {"/usr", "/etc", "/opt"};
    for (size_t i = 0; i < sizeof system / sizeof *system; i++)
        show(root, system[i], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
    static const char *const links[] = {"bin", "sbin", "lib", "lib64"};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        char target[32];
        snprintf(target, sizeof target, "usr/%s", links[i]);
        need(symlinkat(target, root, links[i]), links[i]);
    }
    mkdirat(root, "dev", 0755);
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        show_device(root, devices[i]);
    mkdirat(root, "dev/shm", 01777);
    attach(new_file_system("tmpfs"), root, "dev/shm");
    mkdirat(root, "proc", 0755);
    attach(new_file_system("proc"), root, "proc");
    mkdirat(root, "tmp", 01777);
    attach(new_file_system("tmpfs"), root, "tmp");
    show(root, workspace, MOUNT_ATTR_NOSUID);
    need(fchdir(root), "enter the root");
    need(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    /* <sys/mount.h> cannot stand beside <linux/mount.h> in Debian 12. */
    need(syscall(SYS_umount2, ".", 2 /* MNT_DETACH */), "detach the old root");
    struct mount_attr unwritable = {.attr_set = MOUNT_ATTR_RDONLY};
    need(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &unwritable, sizeof unwritable), "make the root read-only");
}

static void loopback_up(void) {
    int socket_ = (int)need(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    need(ioctl(socket_, SIOCSIFFLAGS, &request), "loopback");
    close(socket_);
}

static void confine(const char *workspace) {
    uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    struct landlock_ruleset_attr handled = {.handled_access_fs = all};
    int rules = (int)need(syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0), "Landlock");
    struct {
        const char *path;
        uint64_t rights;
    } const allowed[] = {
        {"/", LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR},
        {"/dev", all},
        {"/tmp", all},
        {workspace, all},
    };
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        struct landlock_path_beneath_attr rule = {
            .allowed_access = allowed[i].rights,
            .parent_fd = (int)need(open(allowed[i].path, O_PATH | O_CLOEXEC), allowed[i].path),
        };
        need(syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0), allowed[i].path);
        close(rule.parent_fd);
    }
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    need(syscall(SYS_landlock_restrict_self, rules, 0), "Landlock");
    close(rules);
    static struct sock_filter code[BPF_MAXINSNS];
    long size = need(pread(FILTER_DESCRIPTOR, code, sizeof code, 0), "the filter");
    struct sock_fprog program = {.len = (unsigned short)(size / (long)sizeof *code), .filter = code};
    need(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
}

int main(int count, char **arguments) {
    if (count < 3)
        return 64;
    char users[64], groups[64];
    snprintf(users, sizeof users, "%u %u 1", getuid(), getuid());
    snprintf(groups, sizeof groups, "%u %u 1", getgid(), getgid());
    struct clone_args how = {
        .flags =
            CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
        .exit_signal = SIGCHLD,
    };
    long child = need(syscall(SYS_clone3, &how, sizeof how), "clone3");
    if (child) {
        int status = 0;
        need(waitpid((pid_t)child, &status, 0), "wait");
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    }
    write_text("/proc/self/setgroups", "deny");
    write_text("/proc/self/uid_map", users);
    write_text("/proc/self/gid_map", groups);
    loopback_up();
    make_root(arguments[1]);
    need(chdir(arguments[1]), arguments[1]);
    confine(arguments[1]);
    execv(arguments[2], arguments + 2);
    need(-1, arguments[2]);
}
