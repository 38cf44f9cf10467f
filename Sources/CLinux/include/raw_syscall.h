/*
 * System calls without libc.
 *
 * Why: between clone3(CLONE_VM) and execveat the set-up child shares its memory, and so libc's locks, errno and
 * thread-local storage, with a launcher that goes on running; and the sandbox's init has no libc at all. These
 * wrappers touch nothing but registers and return -errno, as the kernel does.
 */
#ifndef MIS_RAW_SYSCALL_H
#define MIS_RAW_SYSCALL_H

#if defined(__x86_64__)

static inline __attribute__((always_inline)) long raw6(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

static inline __attribute__((always_inline)) long raw6(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

#else
#error "mis knows the system calls of x86-64 and aarch64 only"
#endif

#define raw_argument(x) ((long)(x))
#define raw0(n) raw6(n, 0, 0, 0, 0, 0, 0)
#define raw1(n, a) raw6(n, raw_argument(a), 0, 0, 0, 0, 0)
#define raw2(n, a, b) raw6(n, raw_argument(a), raw_argument(b), 0, 0, 0, 0)
#define raw3(n, a, b, c) raw6(n, raw_argument(a), raw_argument(b), raw_argument(c), 0, 0, 0)
#define raw4(n, a, b, c, d) raw6(n, raw_argument(a), raw_argument(b), raw_argument(c), raw_argument(d), 0, 0)
#define raw5(n, a, b, c, d, e)                                                                                         \
    raw6(n, raw_argument(a), raw_argument(b), raw_argument(c), raw_argument(d), raw_argument(e), 0)

#endif
