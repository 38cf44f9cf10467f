"""Attacks against sandboxes a profile has made wider: each switch lifts what it says and nothing beside it."""

import re

import pytest
from attacks.case import LAUNCHERS, Case, covers
from attacks.fixtures import world  # noqa: F401
from attacks.suite import broken
from attacks.world import World, bounded
from test_attack_mounts import CASES as MOUNTS
from test_attack_procfs import CASES as PROCFS
from test_attack_syscalls import CASES as SYSCALLS

PROFILES = {
    # Without the layer "capabilities": the filter and the namespaces' owners still hold.
    "capabilities": 'capabilities = ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_NET_RAW", "CAP_DAC_OVERRIDE", "CAP_CHOWN"]',
    # Without the part of the filter that refuses namespaces.
    "nested": "nested = true",
    "ptrace": 'seccomp = ["ptrace", "process_vm_readv", "process_vm_writev", "perf_event_open"]',
}

STILL_HELD = {
    "capabilities": ("C001", "C002", "C003", "C004", "C005", "C006", "C064", "C065", "C068", "C071", "C092", "C100"),
    "nested": ("C001", "C002", "C003", "C004", "C005", "C064", "C066", "C068", "C071", "C092", "C100"),
    "ptrace": ("C003", "C092", "C100"),
}

BY_NUMBER = {case.number: case for case in (*MOUNTS, *PROCFS, *SYSCALLS)}


def profile(world: World, switch: str) -> str:
    path = world.root / f"wide-{switch}.toml"
    path.write_text(
        f'name = "wide-{switch}"\nextends = ["default"]\n[process]\n{PROFILES[switch]}\n[escalation]\nkill = 0\n'
    )
    return str(path)


def attack(world: World, case: Case, who: str, switch: str):
    world.prepare()
    command, environment = world.command(who)
    command[command.index("-p") + 1] = profile(world, switch)
    program = world.here(world.program(case.program))
    return bounded(
        [*command, "--", program, case.number, *world.arguments(case)], environment, case.seconds, None, cwd=world.ws
    )


@covers(
    "C003",
    "classes A, E, G again with capabilities, nesting or ptrace allowed (C018)",
    ("view", "seccomp"),
    control="the case's own",
)
@pytest.mark.parametrize("who", LAUNCHERS)
@pytest.mark.parametrize(
    "switch,number", [(switch, number) for switch, numbers in STILL_HELD.items() for number in numbers]
)
def test_still_held(world: World, who: str, switch: str, number: str):
    case = BY_NUMBER[number]
    result = attack(world, case, who, switch)
    assert result.done and result.steps, str(result)
    escaped = [step for step, answer in result.steps.items() if answer == "ok"]
    assert not escaped, f"{number} with {switch}: ESCAPED: {escaped}\n{result}"
    assert not broken(result.near), str(result)


@covers(
    "C076",
    "a nested sandbox: namespaces are lifted, what they would be good for is not",
    ("seccomp", "view", "landlock"),
)
@pytest.mark.parametrize("who", ("control", *LAUNCHERS))
def test_nested_namespaces(world: World, who: str):
    case = Case("C076c", "", "privilege", (), {}, arguments=("mask=/proc/kallsyms",))
    if who == "control":
        result = world.control(case)
        assert result.done and set(result.steps.values()) == {"ok"}, str(result)
        return
    result = attack(world, case, who, "nested")
    assert result.done and "ok" not in result.steps.values(), str(result)
    assert set(result.near.values()) == {"ok"}, str(result)


@covers("C093", "calls no profile can add", ("launcher",), control="none: refused before anything runs")
@pytest.mark.parametrize(
    "name",
    (
        "mount",
        "umount2",
        "bpf",
        "userfaultfd",
        "io_uring_setup",
        "keyctl",
        "open_by_handle_at",
        "init_module",
        "kexec_load",
        "clone3",
        "setns",
        "ioctl",
        "prctl",
        "move_mount",
    ),
)
def test_calls_no_profile_adds(world: World, name: str):
    path = world.root / "wide-call.toml"
    path.write_text(f'name = "wide-call"\nextends = ["default"]\n[process]\nseccomp = ["{name}"]\n')
    command, environment = world.command("user")
    command[command.index("-p") + 1] = str(path)
    result = bounded([*command, "--", "true"], environment, 20, None, cwd=world.ws)
    assert result.status == 125 and re.search(rf"\b{name}\b", result.err), str(result)
