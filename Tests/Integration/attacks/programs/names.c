/* Class B: names, symlinks and races around files that are denied or hidden. */
#include "attack.h"
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/userfaultfd.h>
#include <pthread.h>

static const char *token(void) {
    return argument("token");
}

static void symlinks(void) {
    const char *folder = in(argument("ws"), "links");
    mkdir(folder, 0755);
    unlink(in(folder, "absolute"));
    unlink(in(folder, "relative"));
    unlink(in(folder, "hidden"));
    unlink(in(folder, "proc"));
    unlink(in(folder, "honest"));
    near("make links", symlink(argument("denied"), in(folder, "absolute")) |
                           symlink("../denied.txt", in(folder, "relative")) |
                           symlink(argument("hidden"), in(folder, "hidden")) |
                           symlink(in("/proc/self/root", argument("denied")), in(folder, "proc")) |
                           symlink("../plain.txt", in(folder, "honest")));
    step("denied, absolute link", holds(in(folder, "absolute"), token()));
    step("denied, relative link", holds(in(folder, "relative"), token()));
    step("denied, through /proc/self/root", holds(in(folder, "proc"), token()));
    step("denied, through /proc/self/cwd", chdir(argument("ws")) ? -1 : holds("/proc/self/cwd/denied.txt", token()));
    step("hidden, absolute link", holds(in(folder, "hidden"), token()));
    create(in(argument("ws"), "plain.txt"), "plain");
    near("honest link", holds(in(folder, "honest"), "plain"));
}

static void spellings(void) {
    const char *ws = argument("ws"), *folder = in(ws, "chain");
    char name[64], target[64];
    mkdir(folder, 0755);
    for (int each = 0; each < 41; each++) {
        snprintf(name, sizeof name, "%d", each);
        snprintf(target, sizeof target, "%d", each - 1);
        unlink(in(folder, name));
        if (symlink(each ? target : "../denied.txt", in(folder, name)))
            print("note %s\n", strerror(errno));
    }
    unlink(in(folder, "up"));
    unlink(in(folder, "loop"));
    near("link", symlink("../deny-folder", in(folder, "up")) | symlink("loop", in(folder, "loop")));
    step("chain of 20", holds(in(folder, "19"), token()));
    step("chain of 40", holds(in(folder, "39"), token()));
    step("dots after a link", holds(in(folder, "up/../denied.txt"), token()));
    step("single dots", holds(in(ws, "./././denied.txt"), token()));
    step("doubled slashes", holds(in(ws, "///denied.txt"), token()));
    step("through a sibling", holds(in(ws, "chain/../chain/../denied.txt"), token()));
    step("from the folder", chdir(folder) ? -1 : holds("../denied.txt", token()));
    int fd = open(ws, O_PATH | O_DIRECTORY);
    step("by openat", descriptor_holds(openat(fd, "denied.txt", O_RDONLY), token()));
    struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
    step("by openat2", descriptor_holds(syscall(SYS_openat2, fd, "denied.txt", &how, sizeof how), token()));
    int path = openat(fd, "denied.txt", O_PATH);
    char again[64];
    snprintf(again, sizeof again, "/proc/self/fd/%d", path);
    step("O_PATH, opened again", path < 0 ? -1 : holds(again, token()));
    near("loop", open(in(folder, "loop"), O_RDONLY) < 0 && errno == ELOOP ? 0 : -1);
    near("plain file", create(in(ws, "plain.txt"), "x"));
}

/* At least 5,000 rounds and 1.5 s, at most 10 s. */
static int racing(long rounds, double start) {
    double now = seconds() - start;
    return (rounds < 5000 || now < 1.5) && now < 10;
}

static _Atomic int stop;
static char flip[4096], decoy[4096];

static void *flipper(void *unused) {
    (void)unused;
    char other[4200];
    snprintf(other, sizeof other, "%s.new", flip);
    while (!stop) {
        unlink(flip);
        if (symlink(argument("target"), flip) == 0)
            sched_yield();
        snprintf(other, sizeof other, "%s.new", flip);
        /* The reader has a turn at both, also where the two of them share a processor. */
        if (link(decoy, other) == 0 && rename(other, flip) == 0)
            sched_yield();
    }
    return NULL;
}

/* The paper's race: a name that is now an honest file, now a link to the secret. */
static void flip_race(void) {
    const char *targets[] = {argument("denied"), argument("hidden")};
    static const char *const names[] = {"denied", "hidden"};
    for (int each = 0; each < 2; each++) {
        char target[4096];
        snprintf(target, sizeof target, "target=%s", targets[each]);
        char *both[] = {target, NULL};
        char **before = attack_arguments;
        snprintf(flip, sizeof flip, "%s/flip", argument("ws"));
        snprintf(decoy, sizeof decoy, "%s/decoy", argument("ws"));
        create(decoy, "harmless");
        char secret[256];
        snprintf(secret, sizeof secret, "%s", token());
        attack_arguments = both;
        stop = 0;
        pthread_t thread;
        pthread_create(&thread, NULL, flipper, NULL);
        double start = seconds();
        long rounds = 0, opened = 0, leaked = 0;
        while (racing(rounds, start)) {
            char text[128] = "";
            int fd = open(flip, O_RDONLY | O_CLOEXEC);
            rounds++;
            if (fd < 0)
                continue;
            if (read(fd, text, sizeof text - 1) > 0) {
                opened += !strncmp(text, "harmless", 8);
                leaked += strstr(text, secret) != NULL;
            }
            close(fd);
        }
        stop = 1;
        pthread_join(thread, NULL);
        attack_arguments = before;
        print(
            "note %s: %ld rounds, %.0f a second, %ld honest reads, %ld leaks, at most %.4f %% with 95 %% confidence\n",
            names[each], rounds, (double)rounds / (seconds() - start), opened, leaked, 300.0 / (double)rounds);
        errno = EACCES;
        step(names[each], leaked ? 0 : -1);
        near("race was real", opened > 0 ? 0 : -1);
        unlink(flip);
    }
}

static void dangling(void) {
    const char *ws = argument("ws"), *outside = in(argument("ro"), "made-outside.txt");
    const char *hidden = in(argument("hidden_folder"), "made-outside.txt");
    unlink(in(ws, "dangling"));
    unlink(in(ws, "dangling-hidden"));
    near("make links", symlink(outside, in(ws, "dangling")) | symlink(hidden, in(ws, "dangling-hidden")));
    step("O_CREAT, read-only folder", create(in(ws, "dangling"), "x"));
    step("O_CREAT, hidden folder", create(in(ws, "dangling-hidden"), "x"));
    unlink(outside);
    step("mknod through the folder", mknod(outside, S_IFREG | 0644, 0));
    unlink(outside);
    near("O_EXCL does not follow", open(in(ws, "dangling"), O_CREAT | O_EXCL | O_WRONLY, 0644) < 0 ? 0 : -1);
    unlink(in(ws, "dangling"));
    unlink(in(ws, "dangling-hidden"));
}

static char deep[4096], moved[4096];

static void *mover(void *unused) {
    (void)unused;
    char from[4200], to[4200];
    snprintf(from, sizeof from, "%s/x/y", deep);
    snprintf(to, sizeof to, "%s/y", moved);
    while (!stop) {
        rename(from, to);
        rename(to, from);
    }
    return NULL;
}

/* A folder that is moved up while a walk with many ".." runs in it: does the walk leave the workspace's mount? */
static void rename_race(void) {
    snprintf(moved, sizeof moved, "%s/move", argument("ws"));
    snprintf(deep, sizeof deep, "%s/a", moved);
    mkdir(moved, 0755);
    mkdir(deep, 0755);
    mkdir(in(deep, "x"), 0755);
    mkdir(in(deep, "x/y"), 0755);
    mkdir(in(deep, "x/y/z"), 0755);
    create(in(moved, "honest"), "honest");
    char up[4096] = "", wanted[8192];
    for (int each = 0; each < 40; each++)
        strcat(up, "../");
    /* What stands at the top of the walk: the hidden file, spelled from the root. */
    snprintf(wanted, sizeof wanted, "%s%s", up, argument("hidden") + 1);
    stop = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, mover, NULL);
    long rounds = 0, leaked = 0, outside = 0, honest = 0;
    double start = seconds();
    while (racing(rounds, start)) {
        rounds++;
        int folder = open(in(deep, "x/y/z"), O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
            folder = open(in(moved, "y/z"), O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
            continue;
        honest++;
        char text[256] = "";
        int fd = openat(folder, wanted, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            if (read(fd, text, sizeof text - 1) > 0)
                leaked += strstr(text, token()) != NULL;
            close(fd);
        }
        fd = openat(folder, "../../../../../../../denied.txt", O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            outside++;
            close(fd);
        }
        close(folder);
    }
    stop = 1;
    pthread_join(thread, NULL);
    print("note %ld rounds, %ld with a folder, %.0f a second\n", rounds, honest, (double)rounds / (seconds() - start));
    errno = ENOENT;
    step("out of the root", leaked ? 0 : -1);
    near("walks happened", honest > 100 ? 0 : -1);
}

static char swapped[4096];

static void *swapper(void *unused) {
    (void)unused;
    const char *good = argument("good"), *bad = argument("bad");
    for (unsigned turn = 0; !stop; turn++) {
        memcpy(swapped, good, strlen(good) + 1);
        for (volatile int each = 0; each < 50; each++)
            ;
        /* Now and then the reader has a turn at either, also where the two of them share a processor. */
        if (turn % 1024 == 0)
            sched_yield();
        memcpy(swapped, bad, strlen(bad) + 1);
        if (turn % 1024 == 512)
            sched_yield();
    }
    return NULL;
}

/* The string itself changes while the kernel is at it. The two names are of one length, so that every mixture is one.
 */
static void string_race(void) {
    char good[4096], bad[4096], secret[256];
    snprintf(bad, sizeof bad, "%s", argument("denied"));
    snprintf(good, sizeof good, "%s/honest.txt", argument("ws"));
    snprintf(secret, sizeof secret, "%s", token());
    create(good, "harmless");
    char one[4200], two[4200];
    snprintf(one, sizeof one, "good=%s", good);
    snprintf(two, sizeof two, "bad=%s", bad);
    char *both[] = {one, two, NULL};
    char **before = attack_arguments;
    attack_arguments = both;
    memcpy(swapped, good, strlen(good) + 1);
    stop = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, swapper, NULL);
    long rounds = 0, opened = 0, leaked = 0;
    double start = seconds();
    while (racing(rounds, start)) {
        char text[128] = "";
        int fd = open(swapped, O_RDONLY | O_CLOEXEC);
        rounds++;
        if (fd < 0)
            continue;
        if (read(fd, text, sizeof text - 1) > 0) {
            opened += !strncmp(text, "harmless", 8);
            leaked += strstr(text, secret) != NULL;
        }
        close(fd);
    }
    stop = 1;
    pthread_join(thread, NULL);
    attack_arguments = before;
    print("note %ld rounds, %.0f a second, %ld honest, %ld leaks\n", rounds, (double)rounds / (seconds() - start),
          opened, leaked);
    errno = EACCES;
    step("changed string", leaked ? 0 : -1);
    near("race was real", opened > 0 ? 0 : -1);
}

static void stretch(void) {
    step("userfaultfd", close_if_open(syscall(SYS_userfaultfd, O_CLOEXEC)));
    step("userfaultfd, user mode", close_if_open(syscall(SYS_userfaultfd, O_CLOEXEC | 1)));
    step("/dev/fuse", close_if_open(open("/dev/fuse", O_RDWR)));
    step("/dev/userfaultfd", close_if_open(open("/dev/userfaultfd", O_RDWR)));
    near("memory", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
}

static void long_paths(void) {
    const char *ws = argument("ws");
    char path[8192];
    /* 300 and nearly 4,096 bytes of "./" before the name. */
    for (int size = 300; size <= 4000; size += 3700) {
        int used = snprintf(path, sizeof path, "%s/", ws);
        while (used + 12 < size)
            used += snprintf(path + used, sizeof path - (size_t)used, "./");
        snprintf(path + used, sizeof path - (size_t)used, "denied.txt");
        step(size == 300 ? "300 bytes" : "4000 bytes", holds(path, token()));
    }
    /* Deeper than PATH_MAX by steps of chdir; a link at the bottom. */
    char name[201];
    memset(name, 'd', 200);
    name[200] = 0;
    if (chdir(ws) || (mkdir("deep", 0755) && errno != EEXIST) || chdir("deep"))
        return;
    int depth = 0;
    while (depth < 25 && (mkdir(name, 0755) == 0 || errno == EEXIST) && chdir(name) == 0)
        depth++;
    near("25 folders of 200 bytes", depth == 25 ? 0 : -1);
    unlink("link");
    near("link", symlink(argument("denied"), "link"));
    step("from 5,000 bytes below, by link", holds("link", token()));
    char up[256] = "";
    for (int each = 0; each < 26; each++)
        strcat(up, "../");
    strcat(up, "denied.txt");
    step("from 5,000 bytes below, by dots", holds(up, token()));
    /* A tier that names what it is asked about may refuse what has no name of 4,096 bytes. */
    print("note a file there: %s\n", outcome(create("file", "x")));
    for (; depth > 0; depth--) {
        unlink("file");
        unlink("link");
        if (chdir("..") || rmdir(name))
            break;
    }
}

/* Names beside the workspace that only look like it. */
static void look_alikes(void) {
    const char *const names[] = {"-evil", "2", "\xC2\xA0", "."};
    for (size_t each = 0; each < sizeof names / sizeof *names; each++) {
        char folder[4096], name[64];
        snprintf(folder, sizeof folder, "%s%s", argument("ws"), names[each]);
        snprintf(name, sizeof name, "read beside %zu", each);
        step(name, holds(in(folder, "secret.txt"), token()));
        snprintf(name, sizeof name, "write beside %zu", each);
        step(name, create(in(folder, "made.txt"), "x"));
    }
    near("in the workspace", create(in(argument("ws"), "plain.txt"), "x"));
    /* The denied file's own look-alikes stay allowed. */
    near("denied.txt2", create(in(argument("ws"), "denied.txt2"), "x"));
    near("Denied.txt", create(in(argument("ws"), "Denied.txt"), "x"));
}

/* Second names of the denied file itself. */
static void second_names(void) {
    const char *ws = argument("ws");
    create(in(ws, "plain.txt"), "x");
    step("link to it", link(argument("denied"), in(ws, "second-name.txt")));
    step("through the new name", holds(in(ws, "second-name.txt"), token()));
    step("rename it", rename(argument("denied"), in(ws, "renamed.txt")));
    step("through the new place", holds(in(ws, "renamed.txt"), token()));
    step("rename its folder", rename(in(ws, "deny-folder"), in(ws, "deny-folder-2")));
    if (access(argument("denied"), F_OK))
        rename(in(ws, "renamed.txt"), argument("denied"));
    step("exchange it", syscall(SYS_renameat2, AT_FDCWD, argument("denied"), AT_FDCWD, in(ws, "plain.txt"), 2));
    unlink(in(ws, "plain-link.txt"));
    create(in(ws, "plain.txt"), "x");
    near("link to a plain file", link(in(ws, "plain.txt"), in(ws, "plain-link.txt")));
}

ATTACKS({"C019", symlinks}, {"C020", spellings}, {"C021", flip_race}, {"C022", dangling}, {"C023", rename_race},
        {"C024", string_race}, {"C025", stretch}, {"C026", long_paths}, {"C027", look_alikes}, {"C031", second_names})
