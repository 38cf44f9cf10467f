"""Tier bpf in numbers: a thousand sandboxes, runs that come and are killed while others work, floods of events, a build.

Not collected by default: Tests/Kernel/scale.sh names it, in virtual machines. SCALE_SECONDS is how long a flood lasts. The
figures that a test comes to are printed as it ends.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Sandbox, wait_for
from tier_bpf import BPF, EXERCISE, PINS, entries

SECONDS = float(os.environ.get("SCALE_SECONDS", "60"))
PROCESSORS = sorted(os.sched_getaffinity(0))
SYSTEM = [word for rule in ("rx:/usr", "r:/etc", "rw:/dev", "r:/proc", "rw:/tmp") for word in ("--rule", rule)]
REGISTERED, RUNNING, KILLED = 1000, 200, 100
# What the kernel keeps for later without its being lost: slabs, memory of processors, page tables.
SLACK_MB = 48


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def line(text: str) -> None:
        with capsys.disabled():
            print(f"\n# {text}", flush=True)

    return line


def registered() -> int:
    return int(re.search(r"sandboxes (\d+)", entries())[1])


def below(top: Path, files: bool = True) -> set[str]:
    """What is in a folder and those in it; not by rglob(), to which a folder that goes meanwhile is an error."""
    return {f"{path}/{name}" for path, inner, names in os.walk(top) for name in (*inner, *(names if files else ()))}


def pins() -> set[str]:
    return below(PINS)


def all_cgroups() -> set[str]:
    return below(Path("/sys/fs/cgroup"), files=False)


def free_mb() -> int:
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")
    [line] = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:")]
    return int(line.split()[1]) // 1024


@pytest.fixture
def nothing_stays(root: Sandbox, say: Callable[[str], None]) -> Iterator[None]:
    """Entries, labels, pins, cgroups and memory are as before afterwards; processes and mounts `root` sees to."""
    root.run("/bin/true", options=BPF).ok()
    before, had, folders, free = entries(), pins(), all_cgroups(), free_mb()
    yield
    root.close()
    wait_for(lambda: entries() == before, f"the kernel's tables as before: {before}", seconds=30)
    assert pins() == had
    wait_for(lambda: all_cgroups() == folders, "the cgroups as before", seconds=30)
    # Rings and cgroups are given back by the kernel when it comes to it.
    wait_for(lambda: free_mb() > free - SLACK_MB, f"{free} MB of free memory, as before", seconds=60)
    say(f"free memory: {free} MB before, {free_mb()} MB after")


def line_of(process: subprocess.Popen[bytes]) -> str:
    line = process.stdout.readline().decode()
    if not line:
        _, said = process.communicate(timeout=60)
        raise AssertionError(f"it ended with {process.returncode}: {said.decode()[-1000:]}")
    return line.strip()


def test_a_thousand_registered_and_two_hundred_at_work(
    nothing_stays: None, root: Sandbox, say: Callable[[str], None]
) -> None:
    """Each has one file of its own that it may not read, and reads everybody else's."""
    for number in range(RUNNING):
        root.write(f"file-{number}", "text\n")
    crowd = subprocess.Popen(
        [EXERCISE, "run", *SYSTEM, "--extra-sandboxes", str(REGISTERED - RUNNING - 1), "--", "/bin/sh", "-c",
         "echo ready; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        began = time.monotonic()
        assert line_of(crowd) == "ready"
        waiting = time.monotonic()
        say(f"{REGISTERED - RUNNING} registered in {waiting - began:.1f} s")
        script = (
            "echo ready; read go; for i in 1 2 3; do if read x <file-$0; then echo wrong; fi; "
            "read x <file-$1 || echo blind; done 2>/dev/null; echo done; read end"
        )
        running = []
        for number in range(RUNNING):
            words = [script, str(number), str((number + 1) % RUNNING)]
            report = root.reports / f"crowd-{number}.json"
            options = [*BPF, "--deny", str(root.workspace / f"file-{number}"), "--report", str(report)]
            running.append((root.start("/bin/sh", "-c", *words, options=options, stdin=subprocess.PIPE), report))
        for number, (process, _) in enumerate(running, 1):
            assert line_of(process) == "ready"
            if number % 50 == 0:
                say(f"{number} runs started in {time.monotonic() - waiting:.1f} s")
        assert registered() == REGISTERED
        for process, _ in running:
            process.stdin.write(b"go\n")
            process.stdin.flush()
        for process, _ in running:
            assert line_of(process) == "done"
        for number, (process, report) in enumerate(running):
            out, said = process.communicate(b"\n", timeout=120)
            assert (process.returncode, out) == (0, b""), said
            told = json.loads(report.read_text())
            assert [(entry["object"], entry["layer"]) for entry in told["denials"]] == [
                (str(root.workspace / f"file-{number}"), "bpf")
            ]
            assert told["verdicts"]["deny"] == 3 and told["lost_events"] == 0, told
            stream = root.state / "sessions" / told["session"] / "execution.jsonl"
            denied = [line for line in map(json.loads, stream.read_text().splitlines()) if line["event"] == "denied"]
            assert {line["object"] for line in denied} == {str(root.workspace / f"file-{number}")}
    finally:
        _, said = crowd.communicate(b"\n", timeout=300)
        assert crowd.returncode == 0, said


# Of many refusals none ends the run.
PATIENT = 'name = "patient"\nextends = ["default"]\n[escalation]\nkill = 0\n'


def test_starts_and_kills_beside_others_at_work(
    nothing_stays: None, root: Sandbox, make_sandbox: Callable[[str], Sandbox], say: Callable[[str], None]
) -> None:
    other = make_sandbox("root")
    shared = root.base / "shared"
    root.write(shared / "0", "text\n")
    root.write(shared / "1", "text\n")
    script = (
        f"cd {shared}; n=0; echo ready; while [ ! -e stop ]; do read x <$0 && echo wrong; read x <$1 || echo blind; "
        "n=$((n+1)); done 2>/dev/null; echo $n"
    )
    neighbours = []
    for number, sandbox in enumerate((root, other)):
        profile = sandbox.write(sandbox.base / "patient.toml", PATIENT)
        options = [*BPF, "-p", str(profile), "--ro", str(shared), "--deny", str(shared / str(number))]
        neighbours.append(sandbox.start("/bin/sh", "-c", script, str(number), str(1 - number), options=options))
    for neighbour in neighbours:
        assert line_of(neighbour) == "ready"
    dice = random.Random(20)
    alive: list[tuple[float, subprocess.Popen[bytes]]] = []
    ages: list[float] = []

    def kill_one() -> None:
        began, victim = alive.pop(dice.randrange(len(alive)))
        ages.append(time.monotonic() - began)
        victim.send_signal(dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        victim.wait(timeout=120)

    words = f"while :; do read x <{shared}/0 && read x <{shared}/1; done"
    for _ in range(KILLED):
        options = [*BPF, "--ro", str(shared)]
        alive.append((time.monotonic(), root.start("/bin/sh", "-c", words, options=options)))
        time.sleep(dice.random() * 0.3)
        if len(alive) > dice.randrange(4):
            kill_one()
    while alive:
        kill_one()
    root.write(shared / "stop", "")
    counts = []
    for neighbour in neighbours:
        out, said = neighbour.communicate(timeout=120)
        assert neighbour.returncode == 0, said
        assert re.fullmatch(rb"\d+\n", out), out[-200:]
        counts.append(int(out))
    assert min(counts) > KILLED
    say(f"{KILLED} runs killed at the age of {min(ages):.2f} to {max(ages):.2f} s; the two beside them opened "
        f"{2 * sum(counts):,} times, none wrong")  # fmt: skip


# Floods

# On each processor: opens as fast as can be, and every 50 ms an attempt at a file that is denied, another each time.
FLOOD = """
import os, sys, time
folder, seconds = sys.argv[1], float(sys.argv[2])
def flood(number, processor):
    os.sched_setaffinity(0, {processor})
    opened = tried = 0
    end, due = time.monotonic() + seconds, 0.0
    while (now := time.monotonic()) < end:
        for _ in range(20):
            os.close(os.open(f"{folder}/open", os.O_RDONLY))
        opened += 20
        if now >= due:
            due = now + 0.05
            try:
                os.close(os.open(f"{folder}/secret/{number}-{tried}", os.O_RDONLY))
                print("wrong", flush=True)
            except PermissionError:
                tried += 1
            except FileNotFoundError:
                end = 0
    print(opened, tried, flush=True)
    os._exit(0)
processors = sorted(os.sched_getaffinity(0))
for number, processor in enumerate(processors):
    if os.fork() == 0:
        flood(number, processor)
for _ in processors:
    assert os.wait()[1] == 0
"""


@pytest.fixture
def flooded(root: Sandbox) -> Path:
    root.write("open", "text")
    for number in range(len(PROCESSORS)):
        for tried in range(int(SECONDS * 20) + 20):
            root.write(f"secret/{number}-{tried}", "")
    return root.workspace


def sums(lines: list[str]) -> tuple[int, int]:
    """Opens and refusals, as the processors' processes counted them."""
    assert len(lines) == len(PROCESSORS) and "wrong" not in lines, lines
    pairs = [tuple(map(int, line.split())) for line in lines]
    return sum(opened for opened, _ in pairs), sum(tried for _, tried in pairs)


def test_a_flood_of_traces_loses_no_alert(
    nothing_stays: None, flooded: Path, say: Callable[[str], None]
) -> None:
    """Against the rings themselves: whatever was judged was received or counted as lost, to the last record."""
    rules = [*SYSTEM, "--rule", f"rw:{flooded}", "--rule", f"-:{flooded}/secret", "--flag", "trace", "--counters"]
    words = ["python3", "-c", FLOOD, str(flooded), str(SECONDS)]
    began = time.monotonic()
    done = subprocess.run([EXERCISE, "run", *rules, "--", *words], capture_output=True, text=True, timeout=600)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    counted = json.loads(last)
    opened, tried = sums(lines)
    assert counted["allowed"] >= opened > 1000
    assert counted["hits"] == 0, "what is told is not taken from memory"
    assert counted["traces_sent"] + counted["traces_lost"] == counted["allowed"]
    assert counted["traces_received"] == counted["traces_sent"]
    assert counted["denied"] >= tried > SECONDS
    assert counted["alerts_lost"] == 0
    assert counted["alerts_received"] == counted["alerts_sent"]
    assert counted["alerts_sent"] + counted["repeats"] == counted["denied"]
    say(f"flood of {took:.0f} s on {len(PROCESSORS)} processors: {counted['allowed']:,} traces, "
        f"{counted['traces_received']:,} received ({counted['traces_received'] / took:,.0f} a second), "
        f"{counted['traces_lost']:,} lost and counted; {counted['denied']:,} alerts, none lost")  # fmt: skip


def test_a_flood_in_a_run(nothing_stays: None, root: Sandbox, flooded: Path, say: Callable[[str], None]) -> None:
    """The supervisor of `mis run`, which records what it is told."""
    # By its name: a folder that is denied by its path is not shown, and what is not there cannot be refused.
    profile = root.write(
        root.base / "traced.toml",
        'name = "traced"\nextends = ["default"]\n[filesystem]\ndeny = ["**/secret"]\n[streams]\ntrace = true\n'
        "[escalation]\nkill = 0\n",
    )
    seconds = min(SECONDS, 15)
    result = root.run(
        "python3", "-c", FLOOD, str(flooded), str(seconds), options=BPF, profile=str(profile), timeout=600
    ).ok()
    opened, tried = sums(result.stdout.splitlines())
    assert opened > 1000 and tried > seconds, (opened, tried)
    told, refused = 0, set()
    for line in result.stream("execution"):
        if line["event"] == "allow":
            told += line.get("count", 1)
        elif line["event"] == "denied":
            refused.add(line["object"])
    verdicts = result.report["verdicts"]
    assert verdicts["allow"] >= opened and verdicts["deny"] >= tried
    told_of = [path for path in refused if path.startswith(f"{flooded}/secret/")]
    assert len(told_of) == tried, (len(refused), sorted(refused)[:5])
    assert told + result.report["lost_events"] == verdicts["allow"]
    say(f"flood of {result.seconds:.0f} s in mis run: {verdicts['allow']:,} traces, {told:,} recorded "
        f"({told / result.seconds:,.0f} a second), {result.report['lost_events']:,} lost and counted; "
        f"{tried:,} refusals, each recorded")  # fmt: skip


# A build

# What a program for Linux includes.
HEADERS = (
    "arpa/inet.h ctype.h dirent.h errno.h fcntl.h inttypes.h limits.h netinet/in.h poll.h pthread.h signal.h stdbool.h "
    "stdint.h stdio.h stdlib.h string.h sys/epoll.h sys/mman.h sys/socket.h sys/stat.h sys/types.h sys/wait.h time.h unistd.h"
).split()
PART = """#include "all.h"
int part_%d(int n) { char text[32]; snprintf(text, sizeof text, "%%d", n); return (int)strlen(text) + %d; }
"""


def test_a_real_build_lives_off_the_cache(root: Sandbox, say: Callable[[str], None]) -> None:
    """git clone and make with gcc: verdicts are remembered for whatever is opened again, and for all that lies in a folder
    that was walked from, so that folders are asked about, not files; a build that is made again in the same sandbox makes
    new files and opens old ones."""
    project = root.base / "project"
    project.mkdir()
    parts = range(40)
    (project / "all.h").write_text(
        "".join(f"#include <{name}>\n" for name in HEADERS) + "".join(f"int part_{n}(int);\n" for n in parts)
    )
    for n in parts:
        (project / f"part{n}.c").write_text(PART % (n, n))
    (project / "main.c").write_text(
        '#include "all.h"\nint main(void) { printf("%d\\n", '
        + " + ".join(f"part_{n}({n})" for n in parts)
        + "); return 0; }\n"
    )
    (project / "Makefile").write_text(
        "OBJECTS = main.o " + " ".join(f"part{n}.o" for n in parts) + "\nall: sum\nsum: $(OBJECTS)\n\tcc -o $@ $^\n"
        "%.o: %.c all.h\n\tcc -O1 -Wall -c -o $@ $<\n"
    )
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], cwd=project, check=True, timeout=120)
    work = root.workspace
    rules = [*SYSTEM, "--rule", f"rwx:{work}", "--rule", f"r:{project}", "--name", "-:**/.env", "--name",
             f"r:{work}//.git/hooks", "--counters"]  # fmt: skip

    def built(more: str) -> tuple[int, int, int]:
        script = f"cd {work} && HOME={work} git clone -q {project} p && cd p && make -s {more} && ./sum"
        done = subprocess.run(
            [EXERCISE, "run", *rules, "--", "/bin/sh", "-c", script], capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, done.stderr
        answer, last = done.stdout.splitlines()[-2:]
        assert answer == str(sum(n + len(str(n)) for n in parts))
        shutil.rmtree(work / "p")
        counted = json.loads(last)
        assert counted["uncached"] == counted["failed_closed"] == 0, last
        return counted["hits"], counted["folder_hits"], counted["misses"]

    first = built("")
    twice = built("&& make -s -B")
    again = tuple(late - early for late, early in zip(twice, first, strict=True))
    for what, (own, folders, misses) in (("clone and build", first), ("the build made again", again)):
        asked = own + folders + misses
        say(f"{what} of {len(parts) + 1} files: {asked:,} questions, {own:,} answered by the file's own verdict and "
            f"{folders:,} by its folder's, {(own + folders) / asked:.2%}; the bar is 99 %")  # fmt: skip
    for counted in (first, again):
        assert counted[0] + counted[1] > 0.99 * sum(counted), (first, again)
