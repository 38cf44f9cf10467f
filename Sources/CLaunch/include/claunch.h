/*
 * The child's side of a launch, and the guardian. See setup.c and guardian.c for why these are C.
 */
#ifndef MIS_CLAUNCH_H
#define MIS_CLAUNCH_H

#include <stddef.h>
#include <stdint.h>
#include "init_protocol.h"
#include "steps.h"

struct mis_step_list {
    const struct mis_step *_Nullable steps;
    size_t count;
};

enum { mis_list_count = 4 };

struct mis_setup {
    struct mis_step_list lists[mis_list_count];
    int32_t given; /* how many of them the child may read, or abandoned (a futex); at the end of each it waits for the
                      next */
    int32_t gate;  /* mis_step_wait waits for it to be open, or abandoned, in the same way */
    int32_t descriptor_socket; /* where mis_step_send sends and mis_step_receive receives */
    int32_t launcher_socket;   /* its other end, the launcher's: the child closes the copy it was cloned with */
    struct mis_setup_report report;
};

enum { mis_gate_closed = 0, mis_gate_open = 1, mis_gate_abandoned = -1 };

/* Gives the child its next list, before it is cloned or later. Returns 0 when it has them all. */
int mis_give(struct mis_setup *_Nonnull setup, struct mis_step_list list);

/* Lets the child go on from mis_step_wait. */
void mis_open_gate(struct mis_setup *_Nonnull setup);

/* Has the child end at the next place where it waits. */
void mis_abandon(struct mis_setup *_Nonnull setup);

/* Makes a process that only waits, in a new user namespace, so that its map can be written and the namespace be
 * opened. Ended with SIGKILL through the pidfd. Returns the pid, or -errno. */
int mis_clone_namespace_holder(void *_Nonnull stack, size_t stack_size, int *_Nonnull pidfd);

enum { mis_guardian_path_count = 8, mis_guardian_path_length = 256, mis_guardian_range_count = 4 };

/* Whole pages that the launcher will write to. */
struct mis_range {
    void *_Nullable start;
    size_t size;
};

/* What the guardian must undo when the supervisor dies. Shared memory: the supervisor fills it in as it goes. */
struct mis_guard {
    int32_t supervisor;    /* pidfd of the launcher */
    int32_t is_disarmed;   /* nothing is left to undo */
    int32_t agent;         /* pidfd of the sandbox's pid 1, or -1 */
    int32_t kill_file;     /* cgroup.kill, open for writing, or -1 */
    uint32_t cgroup_count; /* directories to remove, deepest first */
    char cgroups[mis_guardian_path_count][mis_guardian_path_length];
    char runtime[mis_guardian_path_length];           /* a folder of flat files to remove, or "" */
    struct mis_range ahead[mis_guardian_range_count]; /* what the launcher writes to next */
    uint32_t ahead_count;
};

/* Setters, because Swift cannot write atomics or arrays of a C structure. Those that take a path return 0 when it
 * does not fit. */
void mis_guard_disarm(struct mis_guard *_Nonnull guard);
void mis_guard_set_kill_file(struct mis_guard *_Nonnull guard, int fd);
int mis_guard_add_cgroup(struct mis_guard *_Nonnull guard, const char *_Nonnull path);
int mis_guard_set_runtime(struct mis_guard *_Nonnull guard, const char *_Nonnull path);
/* Before the guardian is started. What does not fit is left out: it costs time and nothing else. NULL: nothing. */
void mis_guard_fill(struct mis_guard *_Nonnull guard, void *_Nullable start, size_t size);

/* Clones the set-up child; its pidfd is in `guard->agent` then. `stack` is memory of `stack_size` bytes, kept until the
 * child executed or ended. `cgroup`: a cgroup v2 directory to be born in, or -1. Returns the pid, or -errno. */
int mis_clone_setup(struct mis_setup *_Nonnull setup, uint64_t namespaces, int cgroup, void *_Nonnull stack,
                    size_t stack_size, struct mis_guard *_Nonnull guard);

/* Starts the guardian. Returns its pid, or -errno; `pidfd` is set. */
int mis_clone_guardian(struct mis_guard *_Nonnull guard, void *_Nonnull stack, size_t stack_size, int *_Nonnull pidfd);

#endif
