"""Class A: the root file system and its mounts."""

from attacks.case import Case
from attacks.fixtures import world  # noqa: F401
from attacks.suite import attack_tests

CASES = [
    Case(
        "C001",
        "read host paths the profile does not list",
        "mounts",
        # Landlock gives listing at / and with it everywhere; the names of what is hidden are held by the view alone.
        layers={"view": "", "landlock": "file|var"},
        expected={"": "ENOENT|EACCES"},
    ),
    Case(
        "C002",
        "write, create, change below a read-only folder",
        "mounts",
        layers={"view": "", "landlock": "^(?!chmod|utimes)"},
        expected={"": "EROFS|EACCES|EPERM|EXDEV"},
    ),
    Case(
        "C002b",
        "create below /usr, /etc, /opt and /",
        "mounts",
        layers=("view", "landlock", "user"),
        expected={"": "EROFS|EACCES|EPERM"},
        control="none: the control would write the machine's own system folders (C002 is the control)",
    ),
    Case(
        "C003",
        "mount tmpfs, proc, binds; remount; change propagation",
        "mounts",
        layers=("seccomp", "capabilities"),
        expected={"": "EPERM"},
        arena=("mount --bind {root}/ro {root}/ro",),
    ),
    Case(
        "C004",
        "unmount a mask over /proc, also lazily",
        "mounts",
        layers=("seccomp", "capabilities"),
        expected={"": "EPERM"},
        arguments=("mask=/proc/kallsyms", "second_mask=/proc/timer_list"),
        arena=("for name in kallsyms timer_list; do mount --bind /dev/null /proc/$name; done",),
    ),
    Case(
        "C005",
        "pivot_root a second time",
        "mounts",
        layers=("seccomp", "capabilities"),
        expected={"": "EPERM"},
        arena=("mount -t tmpfs none {ws}/mountpoint",),
    ),
    Case("C006", "chroot into the workspace", "mounts", layers=("seccomp", "capabilities"), expected={"": "EPERM"}),
    Case(
        "C007",
        "what pivot_root left behind",
        "mounts",
        layers=("view",),
        expected={"": "ENOENT"},
        control="none: outside there is no set-up that could leave anything",
    ),
    Case("C009", "devices beyond the documented few", "mounts", layers=("view",), expected={"": "ENOENT|EACCES|EPERM"}),
    Case(
        "C017",
        "set-uid files and device nodes on writable mounts",
        "mounts",
        layers={
            "view": "honoured|device node",
            "user": "mknod",
            "capabilities": "mknod",
            "landlock": "mknod",
            "no new privileges": "set-uid root",
        },
        arguments=("tmp=/tmp", "shm=/dev/shm", "device={ws}/device"),
        expected={"": "EPERM|EACCES"},
        arena=("mount -t tmpfs none /tmp",),
    ),
]

test_control, test_inside, test_layer = attack_tests(CASES)
