// Races against an open: an attacker outside the sandbox (root, on the host's side) swaps what a name stands for, or
// what lies above it, while a reader inside opens it without pause.
//   race read MODE    in the sandbox; ends when the attacker has; exits 1 when it ever read the secret wrongly
//   race swap MODE N  outside: N rounds
// Both share /w/a/clock: the attacker's count, odd while a swap is under way, and which side is in place.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct clock {
    volatile uint64_t count, side, done, reading, tries;
};

static struct clock *share(void) {
    int file = open("/w/a/clock", O_RDWR | O_CREAT, 0666);
    if (file < 0 || ftruncate(file, 4096) != 0)
        exit(3);
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return memory == MAP_FAILED ? (exit(3), NULL) : memory;
}

static void need(int result, const char *what) {
    if (result == 0)
        return;
    perror(what);
    exit(3);
}

static int exchange(const char *a, const char *b) {
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

// A folder ("inner") or a file ("leaf") that is denied by its name at one place and by the folder around it at the
// other, never allowed. Around the first is an allowed folder, which is asked about first: its verdict must not come to
// be that of what has just moved, nor must a name from before the move and a folder from after it.
static int hidden_reader(const char *mode, struct clock *clock) {
    int inner = !strcmp(mode, "inner"), folder = open("/w/a/race/hidden", O_PATH);
    char again[32];
    snprintf(again, sizeof(again), "/proc/self/fd/%d", folder);
    if (folder < 0)
        return 3;
    uint64_t served = 0, refused = 0, wrong = 0;
    clock->reading = 1;
    while (!clock->done) {
        int around = open("/w/a/race/name", O_RDONLY);
        int file = inner ? openat(folder, "f", O_RDONLY) : open(again, O_RDONLY);
        int denied = file < 0 && errno == EACCES;
        served += around >= 0;
        refused += (uint64_t)denied;
        wrong += around < 0 || !denied;
        close(around);
        close(file);
        clock->tries++;
    }
    printf("%s: served %llu refused %llu, wrong %llu\n", mode, (unsigned long long)served, (unsigned long long)refused,
           (unsigned long long)wrong);
    return wrong != 0 || served == 0 || refused == 0;
}

static int reader(const char *mode) {
    struct clock *clock = share();
    if (!strcmp(mode, "inner") || !strcmp(mode, "leaf"))
        return hidden_reader(mode, clock);
    const char *path = "/w/a/race/name";
    int folder = AT_FDCWD;
    if (!strcmp(mode, "folder"))
        path = "/w/a/race/dir/f";
    if (!strcmp(mode, "bind"))
        path = "/w/a/race/mount/f";
    uint64_t served = 0, refused = 0, other = 0, wrong = 0, sure_denied = 0, sure_open = 0;
    int moving = !strcmp(mode, "parent") || !strcmp(mode, "file");
    char again[32];
    if (moving) {
        // Held while it is allowed; where it is now decides, not how it was reached.
        folder = open("/w/a/race/moving", O_PATH);
        snprintf(again, sizeof(again), "/proc/self/fd/%d", folder);
        path = !strcmp(mode, "file") ? again : "f";
        if (folder < 0)
            return 3;
    }
    clock->reading = 1;
    while (!clock->done) {
        uint64_t before = clock->count, side = clock->side;
        __sync_synchronize();
        int file = openat(folder, path, O_RDONLY);
        int error = errno;
        __sync_synchronize();
        int still = before == clock->count && !(before & 1);
        char text[16] = {};
        clock->tries++;
        if (file >= 0) {
            if (read(file, text, sizeof(text) - 1) < 0)
                text[0] = 0;
            close(file);
            served++;
            // The secret's own content never, whatever the moment; of what moves the same file is secret half the time.
            if (!strncmp(text, "SECRET", 6))
                wrong++;
            if (moving && still && side)
                wrong++;
            if (still && !side)
                sure_open++;
        } else if (error == EACCES) {
            refused++;
            // The honest side is served: nothing allowed and at rest is refused.
            if (still && !side)
                wrong++;
            if (still && side)
                sure_denied++;
        } else {
            other++;
        }
    }
    printf("%s: served %llu refused %llu absent %llu, at rest: open %llu denied %llu, wrong %llu\n", mode,
           (unsigned long long)served, (unsigned long long)refused, (unsigned long long)other,
           (unsigned long long)sure_open, (unsigned long long)sure_denied, (unsigned long long)wrong);
    return wrong != 0 || sure_open == 0 || sure_denied == 0;
}

static void swap_once(const char *mode, int side) {
    if (!strcmp(mode, "symlink")) {
        need(symlink(side ? "/w/secret/s" : "/w/a/f", "/w/a/race/next"), "symlink");
        need(rename("/w/a/race/next", "/w/a/race/name"), "rename");
    } else if (!strcmp(mode, "rename")) {
        need(exchange("/w/a/race/name", "/w/a/race/other"), "exchange");
    } else if (!strcmp(mode, "folder")) {
        need(exchange("/w/a/race/dir", "/w/a/race/dir2"), "exchange");
    } else if (!strcmp(mode, "parent") || !strcmp(mode, "file")) {
        need(side ? rename("/w/a/race/moving", "/w/secret/moving") : rename("/w/secret/moving", "/w/a/race/moving"),
             "rename");
    } else if (!strcmp(mode, "inner") || !strcmp(mode, "leaf")) {
        need(side ? rename("/w/a/race/hidden", "/w/secret/plain") : rename("/w/secret/plain", "/w/a/race/hidden"),
             "rename");
    } else if (side) {
        need(mount("/w/secret/m", "/w/a/race/mount", NULL, MS_BIND, NULL), "mount");
    } else {
        need(umount2("/w/a/race/mount", MNT_DETACH), "umount");
    }
}

static int swapper(const char *mode, uint64_t rounds) {
    struct clock *clock = share();
    while (!clock->reading)
        usleep(1000);
    for (uint64_t round = 1; round <= rounds; round++) {
        clock->count++;
        __sync_synchronize();
        swap_once(mode, round & 1);
        clock->side = round & 1;
        __sync_synchronize();
        clock->count++;
        // Let the reader see both sides at rest: at least one try of its own in between.
        uint64_t tries = clock->tries;
        for (int wait = 0; clock->tries < tries + (round % 4) && wait < 200000; wait++)
            __builtin_ia32_pause();
    }
    clock->done = 1;
    return 0;
}

int main(int count, char **words) {
    if (count == 3 && !strcmp(words[1], "read"))
        return reader(words[2]);
    if (count == 4 && !strcmp(words[1], "swap"))
        return swapper(words[2], strtoull(words[3], NULL, 10));
    return 2;
}
