"""Sandboxes come and go, and nothing stays: killed at any moment, a hundred at once, among orphans and floods."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from harness import PATIENCE, Leftovers, Sandbox, cgroups, children, guardian, mount, sandbox_init, unmount, wait_for

# Forks as fast as it can: a killer that goes by lists never catches up with it.
FORKER = "import os\nprint('begun', flush=True)\nwhile True:\n  if os.fork(): os._exit(0)\n"
FOREST = (
    "import os, time\n"
    "for _ in range(40):\n  if not os.fork(): time.sleep(60)\n"
    "print('begun', flush=True)\ntime.sleep(60)"
)


def begun(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout
    assert process.stdout.readline() == b"begun\n", process.communicate()


@pytest.mark.parametrize("launcher,times", [("user", 100), ("root", 100)])
def test_supervisor_killed_at_any_moment(make_sandbox, leftovers: Leftovers, launcher: str, times: int) -> None:
    """The moments are spread over a whole run, from the first instruction to after its end."""
    sandbox = make_sandbox(launcher)
    dice = random.Random(20260117)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    before = dict.fromkeys(("dead", "alive"), 0)
    for number in range(times):
        process = sandbox.start("/bin/sleep", "0.05", options=["-q"], **quiet)
        # Most of what can go wrong happens in the first milliseconds.
        time.sleep(dice.uniform(0, 0.02 if number % 3 else 0.1))
        before["alive" if process.poll() is None else "dead"] += 1
        process.kill()
        process.wait()
        leftovers.none_within(2)
    assert before["alive"] > times / 2, f"the kills came too late: {before}"


@pytest.mark.parametrize("agent", [FORKER, FOREST])
def test_supervisor_killed_with_a_busy_agent(sandbox: Sandbox, leftovers: Leftovers, agent: str) -> None:
    for pause in (0, 0.05, 0.3):
        process = sandbox.start("/usr/bin/python3", "-c", agent)
        begun(process)
        time.sleep(pause)
        process.kill()
        process.wait()
        leftovers.none_within(2)


def test_a_crash_starts_no_program(sandbox: Sandbox, leftovers: Leftovers) -> None:
    """Swift's runtime starts a program of the environment's choice at a crash, as whoever started mis; mis goes without."""
    program, mark = sandbox.workspace / "swift-backtrace", sandbox.workspace / "was-here"
    program.write_text(f"#!/bin/sh\n: > {mark}\n")
    program.chmod(0o755)
    choice = {"SWIFT_BACKTRACE": f"enable=yes,swift-backtrace={program}"}
    process = sandbox.start("/bin/sh", "-c", "echo begun; sleep 60", env=choice)
    begun(process)
    process.send_signal(signal.SIGSEGV)
    assert process.wait(10) == -signal.SIGSEGV
    leftovers.none_within(2)
    assert not mark.exists()


@pytest.mark.parametrize("launcher", ["user", "root"])
def test_launcher_and_guardian_killed_before_the_child_is_bound(
    make_sandbox, leftovers: Leftovers, launcher: str
) -> None:
    """No signal of a parent's death comes, for there is no parent any more when it is asked for: strace holds the child
    back at that very call, its first prctl. Nobody is left who could give it its plan, and it sees that."""
    sandbox = make_sandbox(launcher)
    hold = ["-o", "/dev/null", "-e", "trace=prctl", "-e", "inject=prctl:delay_enter=1000000:when=1"]
    tracer = sandbox.traced(hold, "/bin/sleep", "60")

    def launch() -> tuple[int, int, int] | None:
        for mis in children(tracer.pid):
            found = children(mis)
            if len(found) == 2:
                return mis, *found
        return None

    mis, watcher, child = wait_for(launch, "launcher, guardian and child")
    assert sandbox_init(mis) == child
    # Stopped first: neither is to see the other die.
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in (watcher, mis):
            os.kill(pid, number)
    wait_for(lambda: tracer.poll() is not None, "the end of the child and of strace with it", seconds=5)
    # The cgroups of a launcher and a guardian that died together are left to the next run.
    sandbox.run("/bin/true").ok()
    leftovers.none_within(2)


def test_supervisor_and_pid_1_killed(sandbox: Sandbox, leftovers: Leftovers) -> None:
    process = sandbox.start("/usr/bin/python3", "-c", FOREST)
    begun(process)
    init = sandbox_init(process.pid)
    process.kill()
    os.kill(init, signal.SIGKILL)
    process.wait()
    leftovers.none_within(2)


def test_guardian_killed(sandbox: Sandbox, leftovers: Leftovers) -> None:
    process = sandbox.start("/usr/bin/python3", "-c", FOREST)
    begun(process)
    os.kill(guardian(process.pid), signal.SIGKILL)
    assert process.wait(5) == 123
    leftovers.none_within(1)


def test_stopped_supervisor_killed(sandbox: Sandbox, leftovers: Leftovers) -> None:
    process = sandbox.start("/usr/bin/python3", "-c", FOREST)
    begun(process)
    process.send_signal(signal.SIGSTOP)
    process.kill()
    process.wait()
    leftovers.none_within(2)


def test_killed_by_group(sandbox: Sandbox, leftovers: Leftovers) -> None:
    """As a CI runner or `timeout -k` does it: the whole process group at once."""
    process = sandbox.start("/usr/bin/python3", "-c", FOREST, start_new_session=True)
    begun(process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    leftovers.none_within(2)


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2"])
def test_signals_are_forwarded(sandbox: Sandbox, name: str) -> None:
    # Not by bash: an INT that comes while its child ends has it spin for ever, 3 of 1,500 times in an emulated machine.
    script = f"trap 'echo got {name}; exit 9' {name}; echo begun; while :; do sleep 0.05; done"
    process = sandbox.start("/bin/sh", "-c", script)
    begun(process)
    process.send_signal(signal.Signals[f"SIG{name}"])
    out, _ = process.communicate(timeout=10 * PATIENCE)
    assert (process.returncode, out) == (9, f"got {name}\n".encode())


def test_signal_that_is_not_caught(sandbox: Sandbox) -> None:
    process = sandbox.start("/bin/sh", "-c", "echo begun; exec sleep 30")
    begun(process)
    process.terminate()
    assert process.wait(10 * PATIENCE) == 143


def test_background_jobs_end_with_the_main_command(sandbox: Sandbox, leftovers: Leftovers) -> None:
    script = "sleep 60 & (setsid sleep 61 >/dev/null 2>&1 &) ; (trap '' TERM HUP; sleep 62) & echo main; exit 4"
    result = sandbox.shell(script, timeout=15)
    assert (result.status, result.stdout) == (4, "main\n")
    assert result.seconds < 5
    leftovers.none_within(1)


def test_the_agent_closes_everything_and_goes_on(user: Sandbox) -> None:
    """Closed streams are no end of the run: its last process is."""
    script = "exec >&- 2>&- <&-; sleep 1; echo late > late"
    process = user.start("/bin/sh", "-c", script)
    assert process.wait(10 * PATIENCE) == 0
    assert (user.workspace / "late").read_text() == "late\n"


def test_a_hundred_at_once(make_sandbox, leftovers: Leftovers) -> None:
    sandboxes = [make_sandbox(launcher) for launcher in ("user", "root")]
    runs = []
    for number in range(100):
        script = f"echo {number} > {number}; sleep 3; cat {number}; exit {number}"
        runs.append((number, sandboxes[number % 2].start("/bin/sh", "-c", script, options=["-q"])))
    for number, process in runs:
        out, err = process.communicate(timeout=60 * PATIENCE)
        assert (process.returncode, out, err) == (number, f"{number}\n".encode(), b"")
    leftovers.none_within(2)
    # Other people's may have come meanwhile.
    ours = {process.pid for _, process in runs}
    assert not [folder for folder in cgroups() if int(Path(folder).name.split("-")[1]) in ours]
    for sandbox in sandboxes:
        assert len(list((sandbox.state / "sessions").iterdir())) == 50


def has_ended(pid: int) -> bool:
    """Gone, or waiting only to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_the_next_run_removes_what_a_dead_one_left(root: Sandbox) -> None:
    known = cgroups()
    process = root.start("/bin/sh", "-c", "echo begun; exec sleep 60")
    begun(process)
    left = {folder for folder in cgroups() - known if f"mis-{process.pid}-" in folder}
    assert left, "as root each run has cgroups"
    watcher = guardian(process.pid)
    # Stopped first: neither is to see the other die.
    for pid in (process.pid, watcher):
        os.kill(pid, signal.SIGSTOP)
    for pid in (watcher, process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not Path(f"/proc/{process.pid}").exists(), "its end")
    # They share their descriptors, and with them the lock that says somebody lives: the last to go gives it back.
    wait_for(lambda: has_ended(watcher), "the guardian's end")
    root.run("/bin/true").ok()
    assert not left & cgroups()


def test_a_living_run_is_not_taken_for_a_dead_one(root: Sandbox) -> None:
    process = root.start("/bin/sh", "-c", "echo begun; sleep 1; echo alive")
    begun(process)
    for _ in range(3):
        root.run("/bin/true").ok()
    out, _ = process.communicate(timeout=10 * PATIENCE)
    assert (process.returncode, out) == (0, b"alive\n")


def test_orphans_are_reaped(sandbox: Sandbox) -> None:
    """1,500 processes whose parent is gone, under a limit of 256 at a time: zombies would use it up."""
    # A shell's children: Python's take ten times as long to make.
    script = (
        "count=0; while [ $count -lt 1500 ]; do ( : & ); count=$((count + 1)); done\n"
        f"for _ in $(seq {100 * PATIENCE:.0f}); do set -- /proc/[0-9]*; [ $# -gt 3 ] || break; sleep 0.1; done; echo $#"
    )
    result = sandbox.shell(script, options=["--limit", "pids=256"]).ok()
    assert "fork" not in result.stderr and int(result.stdout) <= 3, result.stderr


def figure(file: str, name: str) -> int:
    """Of a file of /proc that says `Name: N kB` in each line; 0 where the kernel has no such line."""
    for line in Path(file).read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def peak(pid: int) -> int:
    return figure(f"/proc/{pid}/status", "VmHWM")


@pytest.mark.parametrize("terminal", [False, True])
def test_a_flood_and_a_slow_reader(user: Sandbox, terminal: bool) -> None:
    """What nobody reads stays with the agent, which waits."""
    amount = 200 << 20 if not terminal else 8 << 20
    near, far = os.openpty() if terminal else os.pipe()
    stream = {"stdin": far, "stdout": far} if terminal else {"stdout": far}
    process = user.start("/usr/bin/head", "-c", str(amount), "/dev/zero", options=["-q"], **stream)
    os.close(far)
    time.sleep(0.5)
    read, highest = 0, 0
    while True:
        try:
            data = os.read(near, 1 << 20)
        except OSError:
            break
        if not data:
            break
        read += len(data)
        if read < 1 << 20:
            time.sleep(0.01)
        highest = max(highest, peak(process.pid) if process.poll() is None else 0)
    os.close(near)
    assert process.wait(10 * PATIENCE) == 0
    assert read == amount
    assert 0 < highest < 64 << 20


def test_a_reader_that_goes_away(sandbox: Sandbox) -> None:
    process = sandbox.start("/usr/bin/yes")
    assert process.stdout
    process.stdout.read(100)
    process.stdout.close()
    assert process.wait(10 * PATIENCE) == 128 + signal.SIGPIPE


def test_memory_of_a_supervisor_at_rest(root: Sandbox) -> None:
    process = root.start("/bin/sh", "-c", "echo begun; exec sleep 30")
    begun(process)
    time.sleep(0.2)
    # Kernel 7 maps the program's text by huge pages where the page cache holds it in such. 10 MB count as resident then, of
    # which 2 MB were ever asked for; they are the page cache's, once for all runs. Nothing else is taken off.
    assert peak(process.pid) - figure(f"/proc/{process.pid}/smaps_rollup", "FilePmdMapped") < 16 << 20
    # What each supervisor takes for itself.
    assert 0 < figure(f"/proc/{process.pid}/status", "RssAnon") < 4 << 20


def test_no_descriptor_of_mis_inside(sandbox: Sandbox) -> None:
    """Inherited ones of the caller neither, marked for closing or not."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    process = sandbox.start("/bin/sh", "-c", "ls /proc/self/fd", pass_fds=[writer], close_fds=True)
    out, _ = process.communicate(timeout=10 * PATIENCE)
    os.close(reader)
    os.close(writer)
    # 3 is the reasoning pipe, 4 is ls's own.
    assert out.split() == [b"0", b"1", b"2", b"3", b"4"]


def test_the_table_of_descriptors_has_its_size_before_it_is_shared(sandbox: Sandbox) -> None:
    """One that grows while the guardian has it too waits for the kernel, longer than all else of a start."""
    process = sandbox.start("/bin/sh", "-c", "echo begun; exec sleep 60")
    begun(process)
    status = Path(f"/proc/{process.pid}/status").read_text()
    size = re.search(r"^FDSize:\s*(\d+)$", status, re.MULTILINE)
    assert size and int(size[1]) >= 1024, status
    process.kill()
    process.wait()


def test_two_runs_do_not_see_each_other(sandbox: Sandbox) -> None:
    first = sandbox.start("/bin/sh", "-c", "echo begun; exec sleep 30.123")
    begun(first)
    result = sandbox.shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; kill -9 -1; echo done").ok()
    assert "30.123" not in result.stdout
    assert first.poll() is None


def test_a_leftover_would_be_seen(stage: Path) -> None:
    """What every test here relies on: an orphan that left its session is found, and so is a mount."""
    look = Leftovers()
    subprocess.run(["/bin/sh", "-c", "setsid sleep 60 >/dev/null 2>&1 &"], check=True)
    folder = stage / "mounted"
    folder.mkdir()
    mount("tmpfs", folder, "tmpfs")
    try:
        # The orphan has a name once it has executed what it is.
        def both() -> bool:
            found = "\n".join(look.now())
            return "sleep" in found and str(folder) in found

        wait_for(both, "the orphan and the mount among what is left")
    finally:
        unmount(folder)
        look.remove()
    look.none_within(2)


def test_doctor_knows_how_many_fit(sandbox: Sandbox) -> None:
    """What a sandbox takes of the watchers a user may have, held against what the supervisor really has open."""
    asked = sandbox.as_caller([sandbox.mis, "doctor", "--json"])
    said = subprocess.run(asked, capture_output=True, timeout=60, check=True, env=sandbox.environment)
    [check] = [check for check in json.loads(said.stdout)["checks"] if check["id"] == "sandboxes-at-once"]
    each = {name: int(number) for name, number in re.findall(r"fs\.(\w+)\.\w+ = \d+, (\d+) for each", check["detail"])}
    process = sandbox.start("/bin/sh", "-c", "echo begun; sleep 60")
    begun(process)

    def taken() -> dict[str, int]:
        held = []
        for entry in Path(f"/proc/{process.pid}/fd").iterdir():
            # The supervisor opens other things for a moment; those counted stay open.
            with contextlib.suppress(FileNotFoundError):
                held.append(os.readlink(entry))
        counts = {name: sum(link in (f"anon_inode:{name}", f"anon_inode:[{name}]") for link in held)
                  for name in ("fanotify", "inotify")}  # fmt: skip
        return {name: count for name, count in counts.items() if count}

    # The agent may begin before the supervisor has opened the last.
    with contextlib.suppress(AssertionError):
        wait_for(lambda: taken() == each, "as many as doctor says")
    assert taken() == each
