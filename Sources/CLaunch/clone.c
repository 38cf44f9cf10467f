/*
 * clone3 with memory shared and a stack of its own.
 *
 * glibc's clone() knows neither pidfds nor CLONE_INTO_CGROUP, and returning from clone3 on a new stack needs
 * assembly. CLONE_VM: no page table is copied (the launcher maps megabytes), and the child reports its failure
 * straight into the launcher's memory.
 */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include "clone.h"
#include "raw_syscall.h"

long mis_clone3_call(struct clone_args *arguments, void (*function)(void *), void *argument) {
    long result;
#if defined(__x86_64__)
    register void (*entry)(void *) __asm__("r12") = function;
    register void *entry_argument __asm__("r13") = argument;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r13, %%rdi\n\t"
                     "call *%%r12\n\t"
                     "ud2\n\t"
                     "1:"
                     : "=a"(result)
                     : "a"((long)SYS_clone3), "D"(arguments), "S"(sizeof *arguments), "r"(entry), "r"(entry_argument)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = SYS_clone3;
    register void *x0 __asm__("x0") = arguments;
    register unsigned long x1 __asm__("x1") = sizeof *arguments;
    register void (*entry)(void *) __asm__("x19") = function;
    register void *entry_argument __asm__("x20") = argument;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, #0\n\t"
                     "mov x0, x20\n\t"
                     "blr x19\n\t"
                     "brk #1\n\t"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(entry), "r"(entry_argument)
                     : "memory");
    result = (long)x0;
#endif
    return result;
}

long mis_clone_sharing_memory(uint64_t flags, int cgroup, void *stack, size_t stack_size, void (*function)(void *),
                              void *argument, int exit_signal, int *pidfd) {
    struct clone_args arguments;
    memset(&arguments, 0, sizeof arguments);
    arguments.flags = flags | CLONE_VM | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
    arguments.pidfd = (uint64_t)(uintptr_t)pidfd;
    arguments.exit_signal = (uint64_t)exit_signal;
    arguments.stack = (uint64_t)(uintptr_t)stack;
    arguments.stack_size = stack_size;
    if (cgroup >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup;
    }
    /* No handler of the launcher's may ever run in a child that shares its memory. */
    uint64_t all = ~0ull, before = 0;
    raw4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    long pid = mis_clone3_call(&arguments, function, argument);
    raw4(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    return pid;
}
