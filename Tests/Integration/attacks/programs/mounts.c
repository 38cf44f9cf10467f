/* Class A: the root file system and its mounts. */
#include "attack.h"
#include <grp.h>
#include <linux/fs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

static void hidden_paths(void) {
    step("file", holds(argument("hidden"), argument("token")));
    step("folder", read_some(argument("hidden_folder")));
    step("root's home", read_some("/root"));
    step("var", read_some("/var/lib/dpkg/status"));
    step("host's tmp", holds(argument("host_tmp"), argument("token")));
    near("workspace", read_some(argument("ws")));
    near("system", read_some("/usr/bin/env"));
}

static void read_only(void) {
    const char *folder = argument("ro"), *file = in(folder, "file.txt");
    step("write", open_to_write(file));
    step("append", close_if_open(open(file, O_WRONLY | O_APPEND)));
    step("create", create(in(folder, "new.txt"), ""));
    step("truncate", truncate(file, 0));
    step("chmod", chmod(file, 0600));
    step("mkdir", mkdir(in(folder, "new"), 0755));
    step("symlink", symlink("x", in(folder, "link")));
    step("mknod", mknod(in(folder, "fifo"), S_IFIFO | 0644, 0));
    step("utimes", utimensat(AT_FDCWD, file, NULL, 0));
    step("rename", rename(file, in(folder, "other.txt")));
    step("link", link(in(folder, "second.txt"), in(folder, "third.txt")));
    step("unlink", unlink(in(folder, "second.txt")));
    step("rmdir", rmdir(in(folder, "empty")));
    near("read", read_some(in(folder, "kept.txt")));
    near("write in the workspace", create(in(argument("ws"), "allowed.txt"), "x"));
    unlink(in(argument("ws"), "allowed.txt"));
}

/* The system itself, which only a sandbox is allowed to be asked about. */
static void system_folders(void) {
    static const char *const folders[] = {"/usr", "/usr/bin", "/etc", "/usr/lib", "/opt", "/"};
    for (size_t each = 0; each < sizeof folders / sizeof *folders; each++) {
        const char *path = in(folders[each], ".mis-attack");
        char name[64];
        snprintf(name, sizeof name, "create in %s", folders[each]);
        if (step(name, create(path, "")) >= 0)
            unlink(path);
        snprintf(name, sizeof name, "mkdir in %s", folders[each]);
        if (step(name, mkdir(path, 0755)) >= 0)
            rmdir(path);
    }
    near("read", read_some("/etc/passwd"));
}

static void mount_things(void) {
    const char *target = argument("mountpoint");
    step("tmpfs", mount("none", target, "tmpfs", 0, NULL));
    umount2(target, MNT_DETACH);
    step("proc", mount("none", target, "proc", 0, NULL));
    umount2(target, MNT_DETACH);
    step("bind /", mount("/", target, NULL, MS_BIND, NULL));
    umount2(target, MNT_DETACH);
    step("bind /usr", mount("/usr", target, NULL, MS_BIND | MS_REC, NULL));
    umount2(target, MNT_DETACH);
    step("remount", mount(NULL, argument("ro"), NULL, MS_BIND | MS_REMOUNT, NULL));
    step("propagation", mount(NULL, "/", NULL, MS_SHARED, NULL));
    near("statfs", statfs(target, &(struct statfs){0}));
}

static void unmount_masks(void) {
    step("umount", umount2(argument("mask"), 0));
    step("lazy umount", umount2(argument("second_mask"), MNT_DETACH));
    step("umount /proc", umount2("/proc", MNT_DETACH));
    near("stat", stat("/", &(struct stat){0}));
}

static void pivot(void) {
    const char *root = argument("mountpoint");
    if (chdir(root))
        print("note chdir %s\n", strerror(errno));
    near("cwd", chdir("."));
    step("pivot", syscall(SYS_pivot_root, ".", "."));
}

static void change_root(void) {
    step("chroot", chroot(argument("mountpoint")));
}

/* What a set-up may leave behind; none of these is there outside either, so nothing is compared with a control. */
static void left_behind(void) {
    static const char *const names[] = {"/oldroot", "/newroot", "/.pivot", "/.old", "/old", "/.mis", "/host", "/mnt"};
    for (size_t each = 0; each < sizeof names / sizeof *names; each++)
        step(names[each], read_some(names[each]));
    char cwd[4096] = "";
    ssize_t size = readlink("/proc/self/cwd", cwd, sizeof cwd - 1);
    near("cwd is inside", size > 0 && cwd[0] == '/' && !strstr(cwd, "unreachable") ? 0 : -1);
    near("getcwd", getcwd(cwd, sizeof cwd) && cwd[0] == '/' ? 0 : -1);
    /* The root's parent is the root, and it is the root of its mount namespace. */
    struct stat root, parent;
    near("root's parent", stat("/", &root) || stat("/..", &parent) || root.st_ino != parent.st_ino ? -1 : 0);
}

static void devices(void) {
    static const char *const known[] = {"null", "zero",  "full",   "random", "urandom", "tty", "ptmx", "pts",
                                        "shm",  "stdin", "stdout", "stderr", "fd",      ".",   ".."};
    DIR *folder = opendir("/dev");
    long strangers = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        size_t each = 0, count = sizeof known / sizeof *known;
        while (each < count && strcmp(known[each], entry->d_name))
            each++;
        if (each == count && !strstr(argument("also"), entry->d_name))
            strangers++;
    }
    errno = ENOENT;
    step("strangers listed", strangers ? 0 : -1);
    static const char *const names[] = {"/dev/mem",  "/dev/kmsg", "/dev/vda",     "/dev/loop0",   "/dev/loop-control",
                                        "/dev/fuse", "/dev/tty1", "/dev/console", "/dev/net/tun", "/dev/vcs"};
    int any = 0;
    for (size_t each = 0; each < sizeof names / sizeof *names; each++) {
        int fd = open(names[each], O_RDONLY | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0) {
            any = 1;
            print("note opened %s\n", names[each]);
            close(fd);
        }
    }
    errno = ENOENT;
    step("device opened", any ? 0 : -1);
    near("null", write_text("/dev/null", "x"));
    near("zero", read_some("/dev/zero"));
    near("urandom", read_some("/dev/urandom"));
    near("shm", create("/dev/shm/mis-attack", "x"));
    unlink("/dev/shm/mis-attack");
}

static int run_file(void *path) {
    /* As somebody who is not root already. */
    if (getuid() == 0 && (setgroups(0, NULL) || setresgid(1500, 1500, 1500) || setresuid(1500, 1500, 1500)))
        return 99;
    execl(path, path, (char *)NULL);
    return errno == EACCES ? 126 : 127;
}

/* Set-uid bits and device nodes on the mounts that can be written. The programs are prepared by the test. */
static void mount_flags(void) {
    static const char *const names[] = {"ws", "tmp", "shm", "home"};
    for (size_t each = 0; each < sizeof names / sizeof *names; each++) {
        const char *folder = argument(names[each]);
        char name[64];
        if (!*folder)
            continue;
        struct statfs system;
        errno = EPERM;
        snprintf(name, sizeof name, "set-uid honoured in %s", names[each]);
        step(name, statfs(folder, &system) || system.f_flags & ST_NOSUID ? (errno = EPERM, -1) : 0);
        snprintf(name, sizeof name, "devices honoured in %s", names[each]);
        step(name, system.f_flags & ST_NODEV ? (errno = EPERM, -1) : 0);
        const char *node = in(folder, "node");
        snprintf(name, sizeof name, "mknod in %s", names[each]);
        step(name, mknod(node, S_IFCHR | 0666, makedev(1, 3)));
        unlink(node);
    }
    const char *device = argument("device");
    if (*device)
        step("device node used", close_if_open(open(device, O_RDONLY)));
    const char *program = argument("setuid");
    if (*program) {
        int status = in_child(run_file, (void *)(uintptr_t)program);
        errno = EPERM;
        step("set-uid root", status == 0 ? 0 : -1);
        near("it runs", status == 0 || status == 1 ? 0 : -1);
    }
}

/* Whether a mount made on the host after the start is seen here: waits for the test's word. */
static void propagation(void) {
    const char *folder = argument("shared");
    print("ready\n");
    char line[16];
    if (read(0, line, sizeof line) < 0)
        return;
    step("new mount", read_some(in(folder, "inside-the-mount/file")));
    near("folder", read_some(folder));
}

static void sleep_long(void) {
    print("ready\n");
    char line[16];
    while (read(0, line, sizeof line) > 0)
        ;
}

ATTACKS({"C001", hidden_paths}, {"C002", read_only}, {"C002b", system_folders}, {"C003", mount_things},
        {"C004", unmount_masks}, {"C005", pivot}, {"C006", change_root}, {"C007", left_behind}, {"C008", propagation},
        {"C009", devices}, {"C017", mount_flags}, {"wait", sleep_long})
