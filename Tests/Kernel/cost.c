// What an open costs: the least of 40 batches of 500, in nanoseconds of this process's own processor time. Under QEMU's
// -icount a nanosecond is an instruction.
//   cost open PATH | read PATH | landlock PATH | cold FOLDER
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void landlock(void) {
    struct landlock_ruleset_attr attributes = {.handled_access_fs =
                                                   LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
    struct landlock_path_beneath_attr under = {.allowed_access = attributes.handled_access_fs,
                                               .parent_fd = open("/", O_PATH)};
    if (rules < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &under, 0) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, rules, 0) != 0) {
        perror("landlock");
        exit(1);
    }
}

int main(int count, char **words) {
    if (count != 3)
        return 2;
    const char *mode = words[1], *path = words[2];
    if (!strcmp(mode, "landlock"))
        landlock();
    uint64_t least = UINT64_MAX;
    if (!strcmp(mode, "cold")) {
        uint64_t sum = 0;
        int files = 0;
        char name[512];
        for (int i = 0; i < 500; i++) {
            snprintf(name, sizeof(name), "%s/%d", path, i);
            struct stat status;
            // The inode is in memory; only the verdict is not.
            if (stat(name, &status) != 0)
                break;
            uint64_t start = now();
            int file = open(name, O_RDONLY);
            close(file);
            sum += now() - start;
            files++;
        }
        printf("%llu\n", (unsigned long long)(files ? sum / (uint64_t)files : 0));
        return files == 0;
    }
    int held = open(path, O_RDONLY);
    if (held < 0) {
        perror(path);
        return 1;
    }
    char byte;
    for (int batch = 0; batch < 40; batch++) {
        uint64_t start = now();
        for (int i = 0; i < 500; i++) {
            if (!strcmp(mode, "read")) {
                if (pread(held, &byte, 1, 0) != 1)
                    return 1;
            } else {
                close(open(path, O_RDONLY));
            }
        }
        uint64_t spent = (now() - start) / 500;
        if (spent < least)
            least = spent;
    }
    printf("%llu\n", (unsigned long long)least);
    return 0;
}
