"""Class N: the launching terminal, and what is written about an agent."""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time

import pytest
from attacks.case import LAUNCHERS, covers
from attacks.fixtures import world  # noqa: F401
from attacks.world import Result, World
from harness import PATIENCE

WITH_CONTROL = ("control", *LAUNCHERS)
# Written when everything else has been.
LAST = b"<the end of what was shown>"


def in_terminal(command: list, environment: dict, folder, seconds: float = 15) -> tuple[Result, bytes, list]:
    """Runs a command as the session leader's job on a terminal of the test's own.

    Returns what it said, what then stands in the terminal's input queue, and the terminal's settings."""
    controller, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
            for number in (0, 1, 2):
                os.dup2(terminal, number)
            os.chdir(folder)
            os.closerange(3, 256)
            os.execvpe(command[0], [str(part) for part in command], environment)
        finally:
            os._exit(127)
    out, end, status = b"", time.monotonic() + seconds * PATIENCE, None
    while time.monotonic() < end:
        if select.select([controller], [], [], 0.05)[0]:
            out += os.read(controller, 65536)
        if LAST in out:
            break
        if status is None:
            done, code = os.waitpid(pid, os.WNOHANG)
            if done:
                status = os.waitstatus_to_exitcode(code)
                # What a terminal was given comes out of it in order, and not at once.
                os.write(terminal, LAST)
    if status is None:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.set_blocking(terminal, False)
    settings = termios.tcgetattr(terminal)
    try:
        queued = os.read(terminal, 4096)
    except OSError:
        queued = b""
    os.close(controller)
    os.close(terminal)
    shown = out.removesuffix(LAST).decode(errors="replace")
    return Result(-1 if status is None else status, shown, ""), queued, [before, settings]


def start(world: World, who: str, program: str, case: str) -> tuple[list, dict]:
    attack = [str(world.here(world.program(program))), case]
    if who == "control":
        return attack, {"PATH": os.environ["PATH"]}
    command, environment = world.command(who)
    return [*command, "--", *attack], environment


@covers("C188", "type into the launching terminal", ("seccomp", "terminal"))
@pytest.mark.parametrize("who", WITH_CONTROL)
def test_typing(world: World, who: str):
    command, environment = start(world, who, "terminal", "C188")
    result, queued, _ = in_terminal(command, environment, world.ws)
    assert result.done and set(result.near.values()) == {"ok"}, str(result)
    if who == "control":
        assert set(result.steps.values()) == {"ok"} and b"attack-typed" in queued, (str(result), queued)
    else:
        assert set(result.steps.values()) == {"EPERM"}, str(result)
        assert b"attack" not in queued and queued == b"", queued


@covers("C188", "leave the terminal raw and silent", ("terminal",))
@pytest.mark.parametrize("who", WITH_CONTROL)
def test_settings_are_restored(world: World, who: str):
    command, environment = start(world, who, "terminal", "C188b")
    result, _, (before, after) = in_terminal(command, environment, world.ws)
    assert set(result.near.values()) == {"ok"}, str(result)
    assert (before == after) == (who != "control"), (before, after)


@covers("C188", "open the host's other terminals", ("view",))
@pytest.mark.parametrize("who", WITH_CONTROL)
def test_other_terminals(world: World, who: str):
    others = [pty.openpty() for _ in range(2)]
    try:
        for _, terminal in others:
            os.fchmod(terminal, 0o666)
        command, environment = start(world, who, "terminal", "C188c")
        result, _, _ = in_terminal(command, environment, world.ws)
    finally:
        for pair in others:
            for descriptor in pair:
                os.close(descriptor)
    assert result.done, str(result)
    assert (result.steps["another terminal"] == "ok") == (who == "control"), str(result)


NAMES = [
    "\x1b[31mred\x07",
    "line\nbreak",
    'quote"back\\slash',
    "\u202eright to left",
    "n" * 255,
    b"\xff\xfe".decode(errors="surrogateescape"),
]


@covers("C189", "control characters in mis's own messages", ("launcher",), control="the raw name is written by ls")
@pytest.mark.parametrize("name", range(len(NAMES)))
def test_messages_are_printable(world: World, name: int):
    command, environment = world.command("user")
    command.remove("-q")
    done = subprocess.run(
        [*map(os.fsencode, command), b"--", os.fsencode("./" + NAMES[name])],
        env=environment,
        cwd=world.ws,
        capture_output=True,
        timeout=20 * PATIENCE,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode in (126, 127), done
    lines = done.stderr.split(b"\n")
    assert all(byte >= 32 for line in lines for byte in line), done.stderr
    assert all(line == b"" or line.startswith((b"mis: ", b"  ")) for line in lines), done.stderr
    assert NAMES[name] not in done.stderr.decode(errors="surrogateescape") or name in (2, 4), done.stderr


@covers("C191", "such names in the report and the record", ("launcher",), control="none: what is tested is the writer")
@pytest.mark.parametrize("name", range(len(NAMES)))
@pytest.mark.parametrize("who", ("user", "root"))
def test_record_is_json(world: World, name: int, who: str):
    command, environment = world.command(who)
    record, report = world.state / f"record-{who}-{name}", world.state / f"report-{who}-{name}"
    world.writable(world.state)
    done = subprocess.run(
        [
            *map(os.fsencode, command),
            b"--record",
            os.fsencode(record),
            b"--report",
            os.fsencode(report),
            b"--",
            b"/bin/sh",
            b"-c",
            b'mkdir -p "$1/.git"; cat "$1/.env" "denied.txt"; mount -t tmpfs "$1" /; exit 3',
            b"sh",
            os.fsencode(NAMES[name]),
        ],
        env=environment,
        cwd=world.ws,
        capture_output=True,
        timeout=20 * PATIENCE,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 3, done
    told = json.loads(report.read_bytes().decode())
    assert told["exit"] == told["exit"] | {"code": 3, "reason": "exited"}, told
    lines = [line for file in record.rglob("*.jsonl") for line in file.read_bytes().split(b"\n") if line]
    assert lines and all(isinstance(json.loads(line.decode()), dict) for line in lines)


@covers(
    "C193",
    "the record's folder is a link the agent made, or cannot be written",
    ("launcher",),
    control="none: refused before anything runs",
)
def test_record_through_a_link(world: World):
    command, environment = world.command("root")
    target = world.hidden / "record"
    target.mkdir(exist_ok=True)
    os.symlink(target, world.ws / "record-link")
    os.lchown(world.ws / "record-link", 1500, 1500)
    try:
        done = subprocess.run(
            [*command, "--record", str(world.ws / "record-link"), "--report", "/dev/full", "--", "true"],
            env=environment,
            cwd=world.ws,
            capture_output=True,
            text=True,
            timeout=20 * PATIENCE,
        )
        assert done.returncode == 125 or "space" in done.stderr.lower(), done
        assert not list(target.iterdir()) or done.returncode == 0, done
    finally:
        (world.ws / "record-link").unlink()
