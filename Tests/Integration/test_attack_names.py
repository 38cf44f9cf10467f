"""Class B: names, symlinks and races."""

from attacks.case import Case
from attacks.fixtures import world  # noqa: F401
from attacks.suite import attack_tests

HIDDEN = "ENOENT"
DENIED = "EACCES|EPERM"

CASES = [
    Case(
        "C019",
        "symlinks to a denied and to a hidden file",
        "names",
        layers={"view": "", "landlock": "hidden", "fanotify": ""},
        expected={"hidden": HIDDEN + "|EACCES", "": DENIED},
    ),
    Case(
        "C020",
        "chains of links, dots, doubled slashes, openat2, O_PATH",
        "names",
        layers=("view", "fanotify"),
        expected={"chain of 40": DENIED + "|ELOOP", "": DENIED},
    ),
    Case(
        "C021",
        "a name flipped between a file and a link to the secret",
        "names",
        layers={"view": "", "landlock": "hidden", "fanotify": ""},
        expected={"": "EACCES"},
        seconds=40,
    ),
    Case(
        "C022",
        "create through a dangling link",
        "names",
        layers={"view": "", "landlock": ""},
        expected={"": "EROFS|ENOENT|EACCES|EXDEV"},
    ),
    Case(
        "C023",
        "a folder renamed under a walk of many dots",
        "names",
        layers=("view", "landlock"),
        expected={"": "ENOENT"},
        seconds=40,
    ),
    Case(
        "C024",
        "the path string changed while it is read",
        "names",
        layers=("view", "fanotify"),
        expected={"": "EACCES"},
        seconds=40,
    ),
    Case(
        "C025",
        "stretch a race with userfaultfd or FUSE",
        "names",
        layers={"seccomp": "^userfaultfd", "user": "^userfaultfd$|fuse", "view": "/dev"},
        expected={"^userfaultfd": "EPERM", "": "ENOENT|EACCES"},
        unreached="/dev/userfaultfd",
    ),
    Case(
        "C026",
        "paths of 300 and 4,000 bytes, and deeper than PATH_MAX",
        "names",
        layers=("view", "fanotify"),
        expected={"": DENIED},
    ),
    Case(
        "C027",
        "folders whose names only begin like the workspace's",
        "names",
        layers=("view", "landlock"),
        expected={"": "ENOENT|EACCES|EROFS"},
    ),
    Case(
        "C031",
        "second names of a denied file: link, rename, exchange",
        "names",
        layers=("view", "fanotify"),
        expected={"": "EACCES|EPERM|EBUSY|EXDEV|ENOENT|EROFS"},
    ),
]

test_control, test_inside, test_layer = attack_tests(CASES)
