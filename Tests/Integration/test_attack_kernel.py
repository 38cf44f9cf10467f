"""Class H: code of the kernel that has had bugs is not reached."""

from attacks.case import Case
from attacks.fixtures import world  # noqa: F401
from attacks.suite import attack_tests

FIXED = "none: the kernel is fixed; the content is looked at all the same"


def sockets(number: str, title: str, **more) -> Case:
    return Case(number, title, "kernelbugs", **({"layers": ("seccomp",), "expected": {"": "EPERM"}} | more))


CASES = [
    sockets("C103", "Dirty Pipe, 1,000 rounds", layers=("kernel",), expected={"": "EACCES|ENODATA"}, control=FIXED),
    sockets("C104", "Dirty COW, 5,000 rounds", layers=("kernel",), expected={"": "EACCES|ENODATA"}, control=FIXED),
    sockets("C105", "AF_ALG (Copy Fail)"),
    sockets(
        "C106",
        "ESP: xfrm, UDP encapsulation, TCP ULP, socket policies",
        layers={"seccomp": "", "capabilities": "POLICY"},
    ),
    sockets("C107", "RDS"),
    sockets("C108", "queueing disciplines over netlink", layers=("capabilities", "user"), expected={"": "EPERM"}),
    sockets("C109", "SCTP"),
    sockets("C110", "file system parameters (fsopen)", layers=("seccomp", "capabilities"), expected={"": "ENOSYS"}),
    sockets("C111", "nf_tables and xtables", layers={"seccomp": "", "capabilities": "REPLACE"}),
    sockets("C112", "packet sockets", layers=("seccomp", "capabilities")),
    sockets("C113", "eBPF", layers={"seccomp": ""}),
    sockets("C114", "vsock"),
    sockets(
        "C116", "a set-uid program without arguments", layers=("no new privileges", "view"), expected={"": "EPERM"}
    ),
]

test_control, test_inside, test_layer = attack_tests(CASES)
