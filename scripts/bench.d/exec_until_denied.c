/* Executes a program and reads a file that it has open, again and again until both are refused. Prints "up" after the
 * first execution, and in the end four CLOCK_MONOTONIC times in nanoseconds: before the last execution that was
 * allowed, before the first that was not; the same of the reads.
 *
 *     exec_until_denied PROGRAM FILE|- EXECUTIONS_EVERY_MICROSECONDS READS_EVERY_MICROSECONDS
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
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

static int refused(int error) {
    return error == EPERM || error == EACCES;
}

static int execute(const char *program) {
    volatile int error = 0;
    pid_t child = vfork();
    if (child < 0)
        return 0;
    if (child == 0) {
        execl(program, program, (char *)0);
        error = errno;
        _exit(126);
    }
    waitpid(child, 0, 0);
    return refused(error);
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 64;
    int reads = argv[2][0] != '-';
    int file = reads ? open(argv[2], O_RDONLY) : -1;
    if (reads && file < 0)
        return 65;
    long long executions = atoi(argv[3]) * 1000LL;
    useconds_t pause = (useconds_t)atoi(argv[4]);
    long long ran = 0, stopped = 0, read_last = 0, read_stopped = !reads, next = 0;
    while (!stopped || !read_stopped) {
        long long start = now();
        char byte;
        if (!read_stopped) {
            if (pread(file, &byte, 1, 0) < 0 && refused(errno))
                read_stopped = start;
            else
                read_last = start;
        }
        start = now();
        if (!stopped && start >= next) {
            if (execute(argv[1]))
                stopped = start;
            else {
                if (!ran && (puts("up") < 0 || fflush(stdout) != 0))
                    return 66;
                ran = start;
            }
            next = start + executions;
        }
        if (pause)
            usleep(pause);
    }
    printf("%lld %lld %lld %lld\n", ran, stopped, read_last, read_stopped);
    return 0;
}
