/* Times commands from start to end, without a shell between.
 *
 *     start_timer ROUNDS REST FILTER :: COMMAND ARG... :: COMMAND ARG... ...
 *
 * Runs each command once a round, in an order that is drawn anew for each round (the same for each call of this
 * program), and rests REST milliseconds before each: what a sandbox leaves the kernel to take down, which it does in
 * the background for some milliseconds, is not to count as the next command's. Prints a line a round: for each command,
 * in the order they were given, the nanoseconds it took and those it kept a processor busy with all it waited for, as
 * WALL:BUSY. FILTER is opened as descriptor 9 of every command (for bwrap --seccomp 9). The first eight rounds are not
 * printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAXIMUM = 16, WARM_UP = 8, FILTER_DESCRIPTOR = 9 };

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void die(const char *doing, const char *object) {
    fprintf(stderr, "start_timer: %s %s: %s\n", doing, object, strerror(errno));
    exit(1);
}

struct sample {
    uint64_t wall, busy;
};

static uint64_t nanoseconds(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

static struct sample once(char **command, const char *filter, int null) {
    uint64_t start = now();
    /* vfork, as a shell's or an agent's posix_spawn does: the price of copying this process's tables is not mis's. */
    pid_t child = vfork();
    if (child == 0) {
        dup2(null, 0);
        dup2(null, 1);
        int descriptor = open(filter, O_RDONLY);
        if (descriptor != FILTER_DESCRIPTOR) {
            dup2(descriptor, FILTER_DESCRIPTOR);
            close(descriptor);
        }
        execv(command[0], command);
        _exit(127);
    }
    if (child < 0)
        die("starting", command[0]);
    int status = 0;
    struct rusage used;
    while (wait4(child, &status, 0, &used) < 0)
        if (errno != EINTR)
            die("waiting for", command[0]);
    uint64_t end = now();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "start_timer: %s ended with wait status 0x%x\n", command[0], (unsigned)status);
        exit(1);
    }
    return (struct sample){end - start, nanoseconds(used.ru_utime) + nanoseconds(used.ru_stime)};
}

/* xorshift64: Marsaglia, "Xorshift RNGs", 2003. */
static uint64_t drawn(void) {
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void shuffle(int *order, int number) {
    for (int index = 0; index < number; index++)
        order[index] = index;
    for (int index = number - 1; index > 0; index--) {
        int other = (int)(drawn() % (uint64_t)(index + 1)), kept = order[index];
        order[index] = order[other];
        order[other] = kept;
    }
}

int main(int count, char **arguments) {
    char **commands[MAXIMUM];
    int number = 0;
    if (count < 6)
        return 64;
    long rounds = strtol(arguments[1], NULL, 10), rest = strtol(arguments[2], NULL, 10);
    const struct timespec pause = {.tv_sec = rest / 1000, .tv_nsec = rest % 1000 * 1000000};
    for (int index = 4; index < count; index++) {
        if (strcmp(arguments[index], "::") != 0)
            continue;
        arguments[index] = NULL;
        if (number == MAXIMUM || index + 1 == count)
            return 64;
        commands[number++] = &arguments[index + 1];
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || number == 0)
        return 64;
    for (long round = -WARM_UP; round < rounds; round++) {
        struct sample samples[MAXIMUM];
        int order[MAXIMUM];
        shuffle(order, number);
        for (int turn = 0; turn < number; turn++) {
            if (rest)
                nanosleep(&pause, NULL);
            samples[order[turn]] = once(commands[order[turn]], arguments[3], null);
        }
        if (round < 0)
            continue;
        for (int which = 0; which < number; which++)
            printf("%s%llu:%llu", which ? " " : "", (unsigned long long)samples[which].wall,
                   (unsigned long long)samples[which].busy);
        putchar('\n');
    }
    return 0;
}
