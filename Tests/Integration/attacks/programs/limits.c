/* Class Q: exhaustion. Each attack takes more than the sandbox may have, and says how far it came. */
#include "attack.h"
#include <sys/inotify.h>

static void many_processes(void) {
    long wanted = atol(argument("wanted")), made = 0;
    int refused_with = 0;
    for (; made < wanted; made++) {
        pid_t child = fork();
        if (child == 0)
            for (;;)
                pause();
        if (child < 0) {
            refused_with = errno;
            break;
        }
    }
    print("note %ld processes\n", made);
    errno = refused_with;
    step("more processes than the limit", made >= wanted ? 0 : -1);
    signal(SIGTERM, SIG_IGN);
    kill(-1, SIGKILL);
    while (wait(NULL) > 0)
        ;
    near("a process afterwards", run((const char *const[]){"/bin/true", NULL}) == 0 ? 0 : -1);
}

static void fill(void) {
    size_t most = (size_t)atol(argument("megabytes"));
    const char *const folders[] = {"/tmp", "/dev/shm", argument("home")};
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    for (int each = 0; each < 3; each++) {
        const char *path = in(folders[each], "mis-attack-fill");
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        size_t written = 0;
        long result = fd;
        while (fd >= 0 && written < most && (result = write(fd, block, sizeof block)) > 0)
            written++;
        step(folders[each], written < most ? -1 : 0);
        print("note %zu MiB in %s\n", written, folders[each]);
        long allocated = fd < 0 ? -1 : fallocate(fd, 0, 0, (off_t)most << 20);
        char name[4096];
        snprintf(name, sizeof name, "fallocate in %s", folders[each]);
        step(name, allocated);
        close(fd);
        unlink(path);
    }
    near("a small file", create("/tmp/mis-attack-small", "x"));
    unlink("/tmp/mis-attack-small");
}

static void many_descriptors(void) {
    long wanted = atol(argument("wanted")), opened = 0;
    int last = -1, refused_with = 0;
    for (; opened < wanted; opened++, last = last) {
        int fd = open("/dev/null", O_RDONLY);
        if (fd < 0) {
            refused_with = errno;
            break;
        }
        last = fd;
    }
    errno = refused_with;
    step("more descriptors than the limit", opened >= wanted ? 0 : -1);
    close(last);
    near("one after another is closed", close_if_open(open("/dev/null", O_RDONLY)));
}

static void memory(void) {
    size_t most = (size_t)atol(argument("megabytes")), taken = 0;
    for (; taken < most; taken++) {
        char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED)
            break;
        memset(block, 'x', 1 << 20);
    }
    print("note %zu MiB\n", taken);
    errno = ENOMEM;
    step("more memory than the limit", taken >= most ? 0 : -1);
}

static void large_file(void) {
    signal(SIGXFSZ, SIG_IGN);
    const char *path = in(argument("ws"), "large");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    step("a large file", fd < 0 ? -1 : fallocate(fd, 0, 0, (off_t)atol(argument("megabytes")) << 20));
    step("a sparse file", fd < 0 ? -1 : ftruncate(fd, (off_t)atol(argument("megabytes")) << 20));
    close(fd);
    unlink(path);
    near("a small file", create(path, "x"));
    unlink(path);
}

ATTACKS({"C212", many_processes}, {"C213", memory}, {"C214", fill}, {"C215", large_file}, {"C216", many_descriptors})
