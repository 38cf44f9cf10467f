/* Executes a program again and again until it is refused, then prints two CLOCK_MONOTONIC times in nanoseconds: before
 * the last execution that was allowed, and before the first that was not.
 *
 *     exec_until_denied PROGRAM MICROSECONDS_BETWEEN
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 64;
    long long allowed = 0;
    for (;;) {
        long long start = now();
        volatile int refused = 0;
        pid_t child = vfork();
        if (child < 0)
            continue;
        if (child == 0) {
            execl(argv[1], argv[1], (char *)0);
            refused = errno;
            _exit(126);
        }
        waitpid(child, 0, 0);
        if (refused == EPERM) {
            printf("%lld %lld\n", allowed, start);
            return 0;
        }
        allowed = start;
        usleep((useconds_t)atoi(argv[2]));
    }
}
