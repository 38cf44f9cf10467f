/* Which functions of a static program run, in the order of their first calls, and what its memory is like at its end.
 *
 *     first_calls FUNCTIONS DATA OUTPUT MEMORY PROGRAM ARG...
 *
 * FUNCTIONS holds their addresses, hexadecimal, a line each. Each gets a breakpoint, which goes when it is hit; so what
 * is measured runs nearly as fast as ever. Threads and children are followed, other programs they execute are not.
 * OUTPUT gets the addresses that were hit, a line each. MEMORY gets the bytes of DATA, START-END, hexadecimal, as they
 * are when the program ends. Ends with the program's exit status. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BREAKPOINT = 0xCC };

struct function {
    uint64_t address;
    uint8_t byte;
    int was_hit;
};

static struct function *functions;
static size_t count;

static void die(const char *doing) {
    fprintf(stderr, "first_calls: %s: %s\n", doing, strerror(errno));
    exit(125);
}

static int by_address(const void *left, const void *right) {
    uint64_t a = ((const struct function *)left)->address, b = ((const struct function *)right)->address;
    return a < b ? -1 : a > b;
}

static void read_functions(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file)
        die(path);
    size_t room = 0;
    unsigned long long address;
    while (fscanf(file, "%llx", &address) == 1) {
        if (count == room) {
            room = room ? room * 2 : 4096;
            functions = realloc(functions, room * sizeof *functions);
            if (!functions)
                die("taking memory");
        }
        functions[count++] = (struct function){.address = address};
    }
    fclose(file);
    qsort(functions, count, sizeof *functions, by_address);
}

static int memory_of(pid_t process) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", process);
    return open(path, O_RDWR | O_CLOEXEC);
}

static void set_breakpoints(pid_t process) {
    int memory = memory_of(process);
    if (memory < 0 || !count)
        die("opening the program's memory");
    uint64_t start = functions[0].address, size = functions[count - 1].address + 1 - start;
    uint8_t *text = malloc(size);
    if (!text || pread(memory, text, size, (off_t)start) != (ssize_t)size)
        die("reading the program's memory");
    for (size_t i = 0; i < count; i++) {
        uint8_t *byte = text + (functions[i].address - start);
        functions[i].byte = *byte;
        *byte = BREAKPOINT;
    }
    if (pwrite(memory, text, size, (off_t)start) != (ssize_t)size)
        die("setting breakpoints");
    free(text);
    close(memory);
}

/* Whether this stop was at one of ours: then the function's first byte is its own again, and the thread before it. */
static int take_breakpoint(pid_t thread, FILE *output) {
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, thread, NULL, &registers) < 0)
        return 0;
    struct function key = {.address = registers.rip - 1};
    struct function *found = bsearch(&key, functions, count, sizeof *functions, by_address);
    if (!found)
        return 0;
    if (!found->was_hit)
        fprintf(output, "%llx\n", (unsigned long long)found->address);
    found->was_hit = 1;
    /* Also if it was hit before: a child may have memory of its own. */
    int memory = memory_of(thread);
    if (memory < 0 || pwrite(memory, &found->byte, 1, (off_t)found->address) != 1)
        die("taking a breakpoint back");
    close(memory);
    registers.rip--;
    return ptrace(PTRACE_SETREGS, thread, NULL, &registers) == 0;
}

static void keep_memory(pid_t process, uint64_t start, uint64_t end, const char *path) {
    int memory = memory_of(process);
    FILE *file = fopen(path, "w");
    uint8_t *bytes = malloc(end - start);
    if (memory < 0 || !file || !bytes || pread(memory, bytes, end - start, (off_t)start) != (ssize_t)(end - start) ||
        fwrite(bytes, 1, end - start, file) != end - start || fclose(file))
        die("keeping the program's memory");
    free(bytes);
    close(memory);
}

int main(int argument_count, char **arguments) {
    unsigned long long start, end;
    if (argument_count < 6 || sscanf(arguments[2], "%llx-%llx", &start, &end) != 2 || end <= start) {
        fprintf(stderr, "usage: first_calls FUNCTIONS DATA OUTPUT MEMORY PROGRAM ARG...\n");
        return 64;
    }
    read_functions(arguments[1]);
    FILE *output = fopen(arguments[3], "w");
    if (!output)
        die(arguments[3]);
    const char *kept = arguments[4];
    arguments += 5;
    pid_t program = fork();
    if (program < 0)
        die("fork");
    if (program == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execv(arguments[0], arguments);
        _exit(127);
    }
    int status;
    if (waitpid(program, &status, 0) < 0 || !WIFSTOPPED(status))
        die(arguments[0]);
    set_breakpoints(program);
    long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
                   PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, program, NULL, options) < 0 || ptrace(PTRACE_CONT, program, NULL, 0) < 0)
        die("following the program");
    int result = 125;
    for (pid_t thread; (thread = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status)) {
            if (thread == program)
                result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        if (thread == program && status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
            keep_memory(program, start, end, kept);
        int signal = WSTOPSIG(status);
        /* Events of following, and the stop a followed child begins with, are nobody's but ours. */
        if (status >> 16 || signal == SIGSTOP || (signal == SIGTRAP && take_breakpoint(thread, output)))
            signal = 0;
        ptrace(PTRACE_CONT, thread, NULL, signal);
    }
    if (fclose(output))
        die("writing what was found");
    return result;
}
