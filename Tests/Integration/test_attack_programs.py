"""Class D: what may be executed."""

from attacks.case import Case
from attacks.fixtures import world  # noqa: F401
from attacks.suite import attack_tests

CASES = [
    Case(
        "C052",
        "a program outside the executable folders",
        "processes",
        layers=("view", "landlock"),
        expected={"": "EACCES"},
        options=("--ro", "{root}/ro"),
    ),
    Case(
        "C053",
        "programs from /dev/shm, /tmp and the private home",
        "processes",
        layers={"view": "", "landlock": "^(?!from home)"},
        expected={"": "EACCES"},
        arena=("mount -t tmpfs none /tmp",),
    ),
    Case(
        "C055",
        "code mapped from files of a noexec mount",
        "processes",
        layers=("view",),
        expected={"": "EPERM|EACCES"},
        arena=("mount -t tmpfs none /tmp",),
    ),
    Case(
        "C057",
        "a denied program by shell, env, xargs, loader, links, /proc (C058)",
        "processes",
        layers=("view", "fanotify"),
        expected={"": "EACCES"},
        unreached="as an interpreter",
    ),
    Case(
        "C060",
        "core files and the host's core handler",
        "processes",
        layers=("limits",),
        expected={"": "EPERM"},
        arena=("ulimit -c 0",),
        unreached="a core file|raise it",
    ),
    Case(
        "C061",
        "register an interpreter",
        "processes",
        layers={"view": "register|status", "seccomp": "mount", "capabilities": "mount"},
        expected={"": "ENOENT|EROFS|EACCES|EPERM"},
        arena=("mount -t binfmt_misc none /proc/sys/fs/binfmt_misc",),
    ),
]

test_control, test_inside, test_layer = attack_tests(CASES)
