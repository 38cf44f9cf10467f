/* Times single operations of the kernel's, in whatever surroundings it is started.
 *
 *     operations FOLDER [--tree TREE]
 *
 * FOLDER holds eight folders one in the other, with a file `near` in the third and `far` in the eighth. Prints one line
 * an operation: its name and the nanoseconds it took, the median of 9 batches. With --tree it walks TREE once instead,
 * opens, reads and closes every file, and prints `tree` with the nanoseconds and the number of files. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 9 };

static const char *folder;
static char near_path[4096], far_path[4096], other_path[4096];
static int file = -1, listener = -1;
static struct sockaddr_in address;
static long files;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void die(const char *doing, const char *object) {
    fprintf(stderr, "operations: %s %s: %s\n", doing, object, strerror(errno));
    exit(1);
}

static void open_close(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        die("opening", path);
    close(descriptor);
}

static void open_near(void) {
    open_close(near_path);
}

static void open_far(void) {
    open_close(far_path);
}

static void look(void) {
    struct stat status;
    if (stat(near_path, &status) < 0)
        die("looking at", near_path);
}

static void read_byte(void) {
    char byte;
    if (pread(file, &byte, 1, 0) != 1)
        die("reading", near_path);
}

static void change_mode(void) {
    if (chmod(near_path, 0644) < 0)
        die("changing the mode of", near_path);
}

static void move_and_back(void) {
    if (rename(near_path, other_path) < 0 || rename(other_path, near_path) < 0)
        die("renaming", near_path);
}

static void execute(void) {
    static char *const arguments[] = {"true", NULL};
    static char *const nothing[] = {NULL};
    pid_t child = 0;
    int status = 0;
    errno = posix_spawn(&child, "/bin/true", NULL, NULL, arguments, nothing);
    if (errno != 0)
        die("executing", "/bin/true");
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            die("waiting for", "/bin/true");
    if (status != 0)
        die("executing", "/bin/true");
}

static void connect_loopback(void) {
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(client, (struct sockaddr *)&address, sizeof address) < 0)
        die("connecting to", "127.0.0.1");
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (server < 0)
        die("accepting on", "127.0.0.1");
    /* Reset instead of TIME_WAIT: the ports must not run out. */
    struct linger linger = {1, 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(client);
    close(server);
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void time_it(const char *name, void (*operation)(void), int times) {
    double batches[BATCHES];
    for (int index = 0; index < times / 4 + 1; index++)
        operation();
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t start = now();
        for (int index = 0; index < times; index++)
            operation();
        batches[batch] = (double)(now() - start) / times;
    }
    qsort(batches, BATCHES, sizeof *batches, compare);
    printf("%s %.1f\n", name, batches[BATCHES / 2]);
}

static int visit(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)place;
    static char buffer[65536];
    if (kind != FTW_F)
        return 0;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        die("opening", path);
    while (read(descriptor, buffer, sizeof buffer) > 0) {
    }
    close(descriptor);
    files++;
    return 0;
}

static void listen_on_loopback(void) {
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        die("listening on", "127.0.0.1");
}

int main(int count, char **arguments) {
    if (count != 2 && !(count == 4 && strcmp(arguments[2], "--tree") == 0))
        return 64;
    folder = arguments[1];
    if (count == 4) {
        uint64_t start = now();
        if (nftw(arguments[3], visit, 32, FTW_PHYS) != 0)
            die("walking", arguments[3]);
        printf("tree %llu %ld\n", (unsigned long long)(now() - start), files);
        return 0;
    }
    snprintf(near_path, sizeof near_path, "%s/1/2/3/near", folder);
    snprintf(other_path, sizeof other_path, "%s/1/2/3/other", folder);
    snprintf(far_path, sizeof far_path, "%s/1/2/3/4/5/6/7/8/far", folder);
    file = open(near_path, O_RDONLY);
    if (file < 0)
        die("opening", near_path);
    listen_on_loopback();
    time_it("open-near", open_near, 2000);
    time_it("open-far", open_far, 2000);
    time_it("stat", look, 4000);
    time_it("read", read_byte, 8000);
    time_it("chmod", change_mode, 500);
    time_it("rename", move_and_back, 250);
    time_it("exec", execute, 25);
    time_it("connect", connect_loopback, 200);
    return 0;
}
