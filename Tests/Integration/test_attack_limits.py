"""Class Q: exhaustion. As an ordinary user here no cgroup can be made, so processes and memory are limited by root."""

import json

import pytest
from attacks.case import Case, covers
from attacks.fixtures import world  # noqa: F401
from attacks.suite import attack_tests
from attacks.world import World, bounded

CASES = [
    Case(
        "C212",
        "more processes than the limit",
        "limits",
        layers=("limits",),
        expected={"": "EAGAIN"},
        arguments=("wanted=200",),
        options=("--limit", "pids=64"),
        launchers=("root", "sudo"),
    ),
    Case(
        "C214",
        "fill /tmp, /dev/shm and the private home",
        "limits",
        layers=("limits",),
        expected={"": "ENOSPC"},
        arguments=("megabytes=40",),
        options=("--limit", "tmp-size=16M"),
        arena=("mount -t tmpfs none /tmp", "mount -t tmpfs none {home}"),
    ),
    Case(
        "C215",
        "large and sparse files in the workspace",
        "limits",
        layers=("limits",),
        expected={"": "EFBIG"},
        arguments=("megabytes=80",),
        options=("--limit", "file-size=16M"),
    ),
    Case(
        "C216",
        "more descriptors than the limit",
        "limits",
        layers=("limits",),
        expected={"": "EMFILE"},
        arguments=("wanted=900",),
        options=("--limit", "files=128"),
    ),
]

test_control, test_inside, test_layer = attack_tests(CASES)


@covers("C213", "more memory than the limit", ("limits",))
@pytest.mark.parametrize("who", ("control", "root", "sudo"))
def test_memory(world: World, who: str):
    program = [world.here(world.program("limits")), "C213", "megabytes=160"]
    if who == "control":
        result = world.arena(program)
        assert result.steps["more memory than the limit"] == "ok", str(result)
        return
    report = world.state / f"memory-{who}.json"
    world.writable(world.state)
    result = world.inside(who, program, "--limit", "memory=48M", "--limit", "memory-high=48M", "--report", report)
    assert result.status == 120 and not result.done, str(result)
    assert json.loads(report.read_text())["exit"]["reason"] == "oom"


@covers(
    "C224", "limits that cannot be set are refused or told, never ignored", ("launcher",), control="none: a message"
)
def test_limits_are_never_ignored(world: World):
    command, environment = world.command("user", "--limit", "pids=64")
    command.remove("-q")
    result = bounded([*command, "--", "true"], environment, 20, None, cwd=world.ws)
    assert result.status == 0 and "limit pids" in result.err, str(result)
    strict = world.root / "strict.toml"
    strict.write_text('name = "strict"\nextends = ["default"]\n[enforcement]\ngaps = "refuse"\n')
    command[command.index(str(world.root / "profile.toml"))] = str(strict)
    result = bounded([*command, "--", "true"], environment, 20, None, cwd=world.ws)
    assert result.status == 125 and "limit pids" in result.err, str(result)
