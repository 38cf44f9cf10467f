// What file accesses cost, in nanoseconds of this process's own processor time; under QEMU's -icount a nanosecond is an
// instruction. Of many batches the least counts: what the machine did meanwhile only ever adds.
//   open_cost access FOLDER [STOP]   FOLDER/shallow, FOLDER/a/b/c/d/usual, FOLDER/a/b/c/d/e/f/deep, FOLDER/cold/0 to
//                                    499; with STOP the process stays until that file appears
//   open_cost landlock FOLDER        the same, in a Landlock domain with one rule on the root folder
//   open_cost start ROUNDS COMMAND...                wall-clock nanoseconds of starting COMMAND and waiting for it
// Prints names and figures on one line.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/landlock.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static uint64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void landlock(void) {
    struct landlock_ruleset_attr attributes = {.handled_access_fs =
                                                   LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
    struct landlock_path_beneath_attr under = {.allowed_access = attributes.handled_access_fs,
                                               .parent_fd = open("/", O_PATH)};
    if (rules < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &under, 0) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        fail("landlock");
}

enum deed { OPEN, READ, WRITE };

static uint64_t least(const char *path, enum deed deed) {
    enum { BATCHES = 20, TURNS = 400 };
    uint64_t best = UINT64_MAX;
    int held = open(path, O_RDWR);
    if (held < 0)
        fail(path);
    char byte = 'x';
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t start = now(CLOCK_THREAD_CPUTIME_ID);
        for (int turn = 0; turn < TURNS; turn++) {
            switch (deed) {
            case OPEN: {
                int file = open(path, O_RDONLY);
                if (file < 0)
                    fail(path);
                close(file);
                break;
            }
            case READ:
                if (pread(held, &byte, 1, 0) != 1)
                    fail("read");
                break;
            case WRITE:
                if (pwrite(held, &byte, 1, 0) != 1)
                    fail("write");
                break;
            }
        }
        uint64_t spent = (now(CLOCK_THREAD_CPUTIME_ID) - start) / TURNS;
        if (spent < best)
            best = spent;
    }
    close(held);
    return best;
}

// The first open of files whose inodes are in memory: only what decides has not seen them yet. A median, since each can
// be measured once only.
static int ordered(const void *left, const void *right) {
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static uint64_t cold(const char *folder) {
    enum { FILES = 500 };
    static uint64_t spent[FILES];
    char name[512];
    for (int i = 0; i < FILES; i++) {
        struct stat status;
        snprintf(name, sizeof(name), "%s/cold/%d", folder, i);
        if (stat(name, &status) != 0)
            fail(name);
        uint64_t start = now(CLOCK_THREAD_CPUTIME_ID);
        int file = open(name, O_RDONLY);
        close(file);
        spent[i] = now(CLOCK_THREAD_CPUTIME_ID) - start;
    }
    qsort(spent, FILES, sizeof(spent[0]), ordered);
    return spent[FILES / 2];
}

static int access_files(const char *folder, const char *stop) {
    char shallow[256], usual[256], deep[256];
    snprintf(shallow, sizeof(shallow), "%s/shallow", folder);
    snprintf(usual, sizeof(usual), "%s/a/b/c/d/usual", folder);
    snprintf(deep, sizeof(deep), "%s/a/b/c/d/e/f/deep", folder);
    uint64_t first = cold(folder);
    printf("shallow %llu usual %llu deep %llu read %llu write %llu cold %llu\n",
           (unsigned long long)least(shallow, OPEN), (unsigned long long)least(usual, OPEN),
           (unsigned long long)least(deep, OPEN), (unsigned long long)least(shallow, READ),
           (unsigned long long)least(shallow, WRITE), (unsigned long long)first);
    fflush(stdout);
    while (stop && access(stop, F_OK) != 0)
        usleep(10000);
    return 0;
}

static int start_command(int rounds, char **command) {
    uint64_t *spent = calloc((size_t)rounds, sizeof(*spent));
    for (int round = 0; spent && round < rounds; round++) {
        pid_t child;
        int status = 0;
        uint64_t start = now(CLOCK_MONOTONIC);
        if (posix_spawn(&child, command[0], NULL, NULL, command, environ) != 0 || waitpid(child, &status, 0) < 0)
            fail(command[0]);
        spent[round] = now(CLOCK_MONOTONIC) - start;
        if (status != 0) {
            fprintf(stderr, "%s: wait status %x\n", command[0], status);
            return 1;
        }
    }
    if (!spent)
        return 1;
    qsort(spent, (size_t)rounds, sizeof(*spent), ordered);
    printf("start %llu\n", (unsigned long long)spent[rounds / 2]);
    return 0;
}

int main(int count, char **words) {
    if (count >= 3 && !strcmp(words[1], "access"))
        return access_files(words[2], count > 3 ? words[3] : NULL);
    if (count == 3 && !strcmp(words[1], "landlock")) {
        landlock();
        return access_files(words[2], NULL);
    }
    if (count > 3 && !strcmp(words[1], "start"))
        return start_command(atoi(words[2]), words + 3);
    return 2;
}
