#ifndef MIS_CLONE_H
#define MIS_CLONE_H

#include <stddef.h>
#include <stdint.h>

/* Runs `function(argument)`, which must not return, in a new process that shares this one's memory. Returns its
 * pid, or -errno. */
long mis_clone_sharing_memory(uint64_t flags, int cgroup, void *stack, size_t stack_size, void (*function)(void *),
                              void *argument, int exit_signal, int *pidfd);

#endif
