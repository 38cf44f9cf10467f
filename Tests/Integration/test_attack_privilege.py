"""Class F: namespaces, capabilities, privilege."""

import pytest
from attacks.case import LAUNCHERS, Case, covers
from attacks.fixtures import world  # noqa: F401
from attacks.suite import attack_tests
from attacks.world import USER, World, bounded

CASES = [
    Case("C072", "a capability left in any set", "privilege", layers=("capabilities",), expected={"": "EPERM"}),
    Case(
        "C073",
        "a process or thread without no_new_privs",
        "privilege",
        layers={"no new privileges": "^(?!pid 1)"},
        expected={"": "EPERM"},
    ),
    Case(
        "C074",
        "300 runs of a set-uid program of our own",
        "privilege",
        layers=("no new privileges", "view"),
        expected={"": "EPERM"},
    ),
    Case(
        "C074b",
        "200 runs of sudo, su, pkexec, mount, newgrp, chfn, passwd, umount",
        "privilege",
        layers={"no new privileges": "^$", "view": "^$"},
        expected={"": "EPERM"},
        seconds=60,
        control="none: the control would be real changes of the machine's accounts (C074 is the control)",
    ),
    Case(
        "C075",
        "a program with file capabilities",
        "privilege",
        layers=("no new privileges", "view", "capabilities"),
        expected={"": "EPERM"},
    ),
    Case(
        "C076",
        "unshare and clone with each namespace flag",
        "privilege",
        layers={"seccomp": "", "capabilities": "^(?!.*user)"},
        expected={"": "EPERM|ENOSPC"},
    ),
    Case(
        "C076b",
        "user namespaces with the filter away",
        "privilege",
        layers=("user namespace", "seccomp"),
        expected={"": "EPERM|ENOSPC"},
    ),
    Case("C077", "clone3", "privilege", layers=("seccomp",), expected={"": "ENOSYS"}),
    Case(
        "C078",
        "join the namespaces of pid 1, its own, by pidfd",
        "privilege",
        layers={"seccomp": "", "capabilities": "^(?!.*user)"},
        expected={"": "EPERM|EACCES|ENOENT|EBADF"},
    ),
    Case(
        "C080",
        "supplementary groups and changes of ids",
        "privilege",
        layers={"capabilities": "setg", "user": ""},
        expected={"": "EPERM|EACCES|EINVAL"},
        arena=('set -- setpriv --regid 0 --groups 6 --inh-caps=-all "$@"',),
    ),
    Case(
        "C081",
        "the release_agent escape",
        "privilege",
        layers={"seccomp": "namespace|mount", "capabilities": "namespace|mount"},
        expected={"release_agent": "ENOENT", "": "EPERM"},
    ),
    Case("C082", "keyrings", "privilege", layers=("seccomp",), expected={"": "EPERM"}),
    Case("C083", "personalities that undo hardening", "privilege", layers=("seccomp",), expected={"": "EPERM"}),
    Case(
        "C084",
        "prctl that rewrites rights or what the kernel shows",
        "privilege",
        layers={"seccomp": "", "capabilities": ""},
        expected={"": "EPERM"},
        unreached="PR_SET_MM",
    ),
]

test_control, test_inside, test_layer = attack_tests(CASES)


@covers("C080", "a group of the launching user's (docker, disk, kvm)", ("user",))
@pytest.mark.parametrize("who", ("control", *LAUNCHERS))
def test_supplementary_groups(world: World, who: str):  # noqa: F811
    """Root's launches drop them. An ordinary user may not, and is told so."""
    read = ["sh", "-c", f"cat {world.ws}/disk-group.txt; echo; id -G; echo end"]
    identity = [f"--reuid={USER}", f"--regid={USER}"] if who in ("control", "user") else []
    command, environment = world.command(who, "--") if who != "control" else ([], {"PATH": "/usr/bin:/bin"})
    if who == "user":
        command = command[4:]
        command.remove("-q")
    result = bounded(["setpriv", *identity, "--groups=6", *command, *read], environment, 20, None, cwd=world.ws)
    assert "end" in result.out, str(result)
    leaked = world.token in result.out
    if who == "user" and leaked:
        assert "supplementary" in result.err, f"kept, and nobody is told: {result}"
    else:
        assert leaked == (who == "control"), str(result)
