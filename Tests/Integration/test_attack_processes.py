"""Class I: processes, signals, descriptors."""

import os
import pathlib
import subprocess
import time

import pytest
from attacks.case import LAUNCHERS, NEIGHBOUR, Case, covers
from attacks.fixtures import world  # noqa: F401
from attacks.suite import attack_tests
from attacks.world import World, bounded, wait_until
from harness import PATIENCE

CASES = [
    Case(
        "C015",
        "memory, program, descriptors, folders of pid 1",
        "processes",
        layers={"user": "^$", "seccomp": "trace"},
        expected={"": "EACCES|EPERM|ETXTBSY|EROFS"},
        unreached="write the program|trace|descriptor of",
    ),
    Case(
        "C117",
        "signal a process of the user's outside",
        "processes",
        layers=("pid namespace", "landlock"),
        expected={"": "ESRCH|EPERM"},
        arena=(NEIGHBOUR,),
    ),
    Case(
        "C121",
        "take descriptors by pidfd",
        "processes",
        layers={"seccomp": "^descriptor", "pid namespace": "neighbour"},
        expected={"^descriptor": "EPERM", "": "ESRCH|EINVAL"},
        arena=(NEIGHBOUR,),
    ),
    Case("C126", "trace a process of the same sandbox", "processes", layers=("seccomp",), expected={"": "EPERM"}),
]

test_control, test_inside, test_layer = attack_tests(CASES)


@covers("C117", "kill(-1) and kill(1)", ("pid namespace", "landlock"), control="C117")
@pytest.mark.parametrize("who", LAUNCHERS)
def test_kill_everybody(world: World, who: str):
    world.prepare()
    result = world.inside(who, [world.here(world.program("processes")), "C117b"])
    assert result.done and set(result.near.values()) == {"ok"}, str(result)
    assert world.neighbour.poll() is None, "a process outside was killed"


@covers("C119", "background jobs when the main command ends", ("pid namespace", "limits"))
@pytest.mark.parametrize("who", (*LAUNCHERS, "control"))
def test_background_jobs(world: World, who: str):
    name = f"mis-bg-{os.getpid() % 10000}"

    def alive() -> list[int]:
        found = []
        for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
            try:
                if comm.read_text().strip() == name:
                    found.append(int(comm.parent.name))
            except OSError:
                continue
        return found

    command = [world.here(world.program("processes")), "C119", f"name={name}"]
    if who == "control":
        # Without the sandbox they stay; in a pid namespace of the test's own, which then ends them.
        # Each is waited for until it has its name; when time is up, as many as there are then are too few.
        script = (
            f'"$@"; n=0; until [ $(grep -ls {name} /proc/[0-9]*/comm | wc -l) -ge 20 ] || [ $n -ge 500 ]; do '
            f"n=$((n+1)); sleep 0.01; done; grep -ls {name} /proc/[0-9]*/comm | wc -l"
        )
        result = bounded(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "control", *command],
            {"PATH": os.environ["PATH"]},
            20,
            None,
        )
        assert result.out.split()[-1] == "20", str(result)
    else:
        result = world.inside(who, command)
        assert result.done and result.status == 0, str(result)
    assert wait_until(lambda: not alive(), 1), f"left behind: {alive()}"


@covers("C120", "descriptors the launcher was started with", ("launcher",))
@pytest.mark.parametrize("who", (*LAUNCHERS, "control"))
def test_descriptors(world: World, who: str):
    program = [str(world.here(world.program("processes"))), "C120"]
    secret = os.open(world.hidden / "secret.txt", os.O_RDONLY)
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    reader, writer = os.pipe()
    command, environment = world.command(who, "--") if who != "control" else ([], {"PATH": os.environ["PATH"]})
    try:
        done = subprocess.run(
            [*command, *program],
            env=environment,
            cwd=world.ws,
            pass_fds=(secret, folder, reader, writer),
            capture_output=True,
            text=True,
            timeout=20 * PATIENCE,
            stdin=subprocess.DEVNULL,
        )
    finally:
        for descriptor in (secret, folder, reader, writer):
            os.close(descriptor)
    assert "done" in done.stdout, done
    assert ("step a descriptor above 2 ok" in done.stdout) == (who == "control"), done
    assert "near 0, 1 and 2 ok" in done.stdout, done
    if who != "control":
        assert "near reasoning is written ok" in done.stdout and "step reasoning is read EBADF" in done.stdout, done


@covers("C016", "start in a leaked descriptor's folder, or outside the view", ("launcher",), control="none: no launch")
@pytest.mark.parametrize("who", ("user", "root"))
def test_working_folder(world: World, who: str):
    """The folder is one of the view: the workspace when the caller's is not visible; never "(unreachable)"."""
    command, environment = world.command(who)
    for folder in ("/", str(world.hidden), "/proc/self/fd", "/root" if who == "root" else "/"):
        result = bounded(
            [*command, "--", "sh", "-c", "pwd -P; readlink /proc/self/cwd; ls .. >/dev/null"],
            environment,
            20,
            None,
            cwd=folder,
        )
        assert result.status == 0, str(result)
        assert result.out.split() == [str(world.ws)] * 2, (folder, str(result))
    held = os.open(world.hidden, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for workspace in (f"/proc/self/fd/{held}", f"/proc/{os.getpid()}/cwd", "/proc/self/root", "/dev/fd"):
            start = [part if part != str(world.ws) else workspace for part in command]
            done = subprocess.run(
                [*start, "--", "cat", "secret.txt"],
                env=environment,
                pass_fds=(held,),
                capture_output=True,
                text=True,
                timeout=20 * PATIENCE,
                stdin=subprocess.DEVNULL,
            )
            leaked = world.token in done.stdout and workspace != f"/proc/self/fd/{held}"
            assert not leaked, (workspace, done)
    finally:
        os.close(held)


@covers("C124", "end a sandbox that forks without pause", ("pid namespace", "limits"), control="none: a fork bomb")
@pytest.mark.parametrize("who", ("user", "root"))
def test_kill_while_forking(world: World, who: str):
    name = f"mis-fk-{os.getpid() % 10000}"
    source = (
        "import os,ctypes\n"
        f"ctypes.CDLL(None).prctl(15,b'{name}')\n"
        "import time\n"
        "end=time.time()+30\n"
        "while time.time()<end:\n"
        " try:\n"
        "  if os.fork()==0:\n"
        "   time.sleep(0.02); os._exit(0)\n"
        "  os.waitpid(-1,os.WNOHANG)\n"
        " except OSError: pass\n"
    )
    result = world.inside(
        who, ["/usr/bin/python3", "-c", source], "--timeout", "500ms", "--limit", "pids=64", seconds=20
    )
    assert result.status in (124, 137), str(result)
    end = time.monotonic() + 1
    left = [1]
    while left and time.monotonic() < end:
        left = subprocess.run(["pgrep", "-x", name], capture_output=True, text=True).stdout.split()
    assert not left, left
