"""Class E: /proc, /sys and control files."""

from attacks.case import NEIGHBOUR, Case
from attacks.fixtures import world  # noqa: F401
from attacks.suite import attack_tests

CASES = [
    Case(
        "C063",
        "list processes, read their command lines and environments",
        "procfs",
        layers=("pid namespace",),
        expected={"": "ESRCH|ENOENT|EACCES"},
        arena=(NEIGHBOUR,),
    ),
    Case(
        "C064",
        "write /proc/sys",
        "procfs",
        layers={"view": "", "user": "^(?!kernel/ns_last_pid)"},
        expected={"": "EROFS|EACCES|EPERM"},
        unreached="^user/",
    ),
    Case(
        "C065",
        "sysrq-trigger, irq, bus, fs and sys of /proc",
        "procfs",
        layers={"view": "^(?!mtrr)", "user": ""},
        expected={"": "EROFS|EACCES|EPERM|ENOENT"},
        unreached="sysrq|mtrr",
    ),
    Case(
        "C066",
        "kernel memory, log, symbols, keys, timers",
        "procfs",
        layers={"view": "", "user": "kcore|timer_list|slabinfo|vmalloc|pagetype|kpage|kmsg"},
        expected={"": "ENOENT|EACCES|EPERM|ENODATA|EROFS"},
        unreached="acpi|driver|asound|scsi",
    ),
    Case(
        "C067",
        "interrupt counters and energy meters",
        "procfs",
        layers=("view",),
        expected={"": "ENOENT|EACCES|ENODATA"},
    ),
    Case(
        "C068",
        "sysfs, debugfs, tracefs, bpffs, firmware",
        "procfs",
        layers={"view": "", "landlock": "parameter"},
        expected={"": "ENOENT|EACCES"},
        unreached="debug|tracing|security|bpf|helper",
    ),
    Case(
        "C069",
        "lower oom_score_adj, raise limits, change pid 1's",
        "procfs",
        layers={"capabilities": "nice", "user": "nice"},
        expected={"": "EACCES|EPERM"},
        unreached="lower oom|raise",
    ),
    Case(
        "C070",
        "rewrite the id maps",
        "procfs",
        layers=("kernel", "capabilities"),
        expected={"": "EPERM|EACCES"},
        control="none: an id map is written once, whoever asks",
    ),
    Case(
        "C071",
        "sysctl through a second procfs",
        "procfs",
        layers={"seccomp": "mount|fsopen", "capabilities": "mount|fsopen"},
        expected={"fsopen": "ENOSYS", "sysctl": "ENOENT", "": "EPERM"},
    ),
]

test_control, test_inside, test_layer = attack_tests(CASES)
