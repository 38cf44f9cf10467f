"""Class G: the system-call surface. The filter itself is compared with a reference evaluator in the unit tests."""

from attacks.case import Case
from attacks.fixtures import world  # noqa: F401
from attacks.suite import attack_tests

CASES = [
    Case(
        "C087",
        "numbers that do not exist are answered as by a kernel",
        "syscalls",
        layers=("seccomp",),
        expected={"": "ENOSYS"},
        control="none: the kernel answers so itself; what is tested is that the filter agrees",
    ),
    Case(
        "C088",
        "32-bit calls through int 0x80",
        "syscalls",
        layers={"seccomp": "", "capabilities": "unshare|mount"},
        expected={"": "ENOSYS|EPERM"},
    ),
    Case(
        "C089",
        "TIOCSTI, also with garbage in the upper half (C090)",
        "syscalls",
        layers=("seccomp",),
        expected={"": "EPERM"},
    ),
    Case("C091", "TIOCLINUX and TIOCSETD", "syscalls", layers=("seccomp",), expected={"": "EPERM"}),
    Case(
        "C092",
        "the new mount calls",
        "syscalls",
        layers={"seccomp": "", "capabilities": "open_tree|move_mount|fsopen|fspick"},
        expected={"": "ENOSYS"},
    ),
    Case(
        "C093",
        "bpf, perf, kexec, modules, swap, reboot, accounting, quota, clocks, log",
        "syscalls",
        layers={
            "seccomp": "",
            "capabilities": "kexec_load|swap|reboot|acct",
        },
        expected={"": "EPERM"},
        unreached="kexec|acct|quotactl|swap|module",
    ),
    Case(
        "C094",
        "userfaultfd, io_uring, other processes' memory, memory policy",
        "syscalls",
        layers=("seccomp",),
        expected={"": "EPERM|ENOSYS"},
    ),
    Case(
        "C095",
        "filters and a listener of the agent's own",
        "syscalls",
        layers={"seccomp": "", "capabilities": ""},
        expected={"": "EPERM"},
    ),
    Case("C096", "a task without the filter", "syscalls", layers={"seccomp": "^(?!pid 1)"}, expected={"": "EPERM"}),
    Case(
        "C097",
        "skip a verdict by SIGSYS or user dispatch",
        "syscalls",
        layers=("seccomp", "capabilities"),
        expected={"": "EPERM"},
    ),
    Case(
        "C098",
        "x86-only calls",
        "syscalls",
        layers={"seccomp": "", "capabilities": "iopl|ioperm"},
        expected={"": "EPERM"},
        unreached="iopl|ioperm",
    ),
    Case(
        "C099",
        "real-time scheduling, negative nice, mlockall, real-time io",
        "syscalls",
        layers={"seccomp": "SCHED|mlockall|real-time|sched", "capabilities": "SCHED|nice|sched"},
        expected={"sched_setattr": "ENOSYS", "": "EPERM|EACCES"},
    ),
    Case(
        "C100",
        "socket families and protocols beyond the usual",
        "syscalls",
        layers=("seccomp",),
        expected={"": "EPERM|EAFNOSUPPORT"},
    ),
]

test_control, test_inside, test_layer = attack_tests(CASES)
