"""The part of the bench `arbiter` that runs in the machine: prints one JSON object."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
EXERCISE, COST = f"{HERE}/arbiter-exercise", f"{HERE}/open_cost"
PLAIN = "/sys/fs/cgroup/plain"
RULES = [word for rule in ("rx:/usr", "rx:/payload", "r:/etc", "rw:/dev", "rw:/w", "rw:/tmp") for word in ("--rule", rule)]
STOP = "/tmp/stop"


def figures(text: str) -> dict[str, int]:
    words = text.split()
    return {name: int(value) for name, value in zip(words[::2], words[1::2])}


def run(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout


def plain(*words: str) -> dict[str, int]:
    """In a cgroup like a sandbox's: the memory controller has a price of its own."""
    return figures(run(["/bin/sh", "-c", f'echo 0 >{PLAIN}/cgroup.procs && exec "$@"', "sh", *words]))


@contextmanager
def sandbox(*options: str) -> Iterator[dict[str, int]]:
    """Figures from inside; the sandbox stays until the block ends, so that the outside can be measured beside it."""
    process = subprocess.Popen([EXERCISE, "run", *RULES, *options, "--", COST, "access", "/w", STOP],
                               stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line:
        sys.exit(f"the sandbox ended: {process.wait()}")
    yield figures(line)
    with open(STOP, "w"):
        pass
    if process.wait() != 0:
        sys.exit("the sandbox failed")
    os.unlink(STOP)


def available() -> int:
    """Bytes of the machine's memory that are free or could be at once."""
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))


def threats() -> str:
    """A threat policy that is asked about the paths, names and inodes of files in all three layers, and denies none."""
    drawn = random.Random(1)
    lines = ["identity 1"]
    for layer in ("whitelist", "hotfix", "base"):
        lines.append(f"{layer} {drawn.randbytes(16).hex()}")
        lines += [f"key {layer} {kind} {drawn.randbytes(16).hex()}" for kind in (2, 3, 4) for _ in range(300)]
    with open("/tmp/threats", "w") as file:
        file.write("\n".join(lines) + "\n")
    return "/tmp/threats"


def prepare() -> None:
    os.makedirs("/w/a/b/c/d/e/f")
    os.makedirs("/w/cold")
    os.mkdir(PLAIN)
    for path in ["/w/shallow", "/w/a/b/c/d/usual", "/w/a/b/c/d/e/f/deep", *(f"/w/cold/{i}" for i in range(500))]:
        with open(path, "w") as file:
            file.write("x")


def accesses(crowds: list[int], labels: list[int]) -> tuple[list[dict[str, object]], dict[str, int]]:
    rows: list[dict[str, object]] = []
    left: dict[int, int] = {}

    def row(name: str, values: dict[str, int]) -> None:
        rows.append({"what": name, **values})

    row("no programs", plain(COST, "access", "/w"))
    row("Landlock", plain(COST, "landlock", "/w"))
    run([EXERCISE, "load"])
    row("programs, no sandbox", plain(COST, "access", "/w"))
    for count in crowds:
        # The sandbox that measures is one of them.
        with sandbox("--extra-sandboxes", str(count - 1)) as inside:
            row(f"inside, {count:,} sandboxes", inside)
            row(f"outside, {count:,} sandboxes", plain(COST, "access", "/w"))
            left[count] = available()
    for count in labels:
        with sandbox("--extra-labels", str(count)) as inside:
            row(f"inside, {count:,} labels", inside)
    with sandbox("--threat", threats()) as inside:
        row("a threat policy, inside", inside)
    few, many = min(left), max(left)
    memory = {"sandboxes": many, "bytes": (left[few] - left[many]) // (many - few)} if many > few else {}
    return rows, memory


def starts(mis: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []

    def row(name: str, nanoseconds: int) -> None:
        rows.append({"what": name, "milliseconds": nanoseconds / 1e6})

    run([EXERCISE, "unload"])
    if os.path.exists(mis):
        os.makedirs("/w/work", exist_ok=True)
        begun = time.monotonic_ns()
        run([mis, "run", "-q", "--require", "bpf", "-w", "/w/work", "--", "/bin/true"])
        row("first mis run: load, verify, attach", time.monotonic_ns() - begun)
        run([EXERCISE, "unload"])
    begun = time.monotonic_ns()
    run([EXERCISE, "load"])
    row("of it, load, verify, attach", time.monotonic_ns() - begun)
    phases = figures(run([EXERCISE, "start", *RULES]))
    row("of a later run: open", phases["open"])
    row("of a later run: register", phases["register"])
    row("of a later run: unregister", phases["unregister"])
    row("bare vfork and exec", figures(run([COST, "start", "20", "/bin/true"]))["start"])
    bwrap = ["/usr/bin/bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--ro-bind",
             "/usr", "/usr", "--ro-bind", "/etc", "/etc", "--symlink", "usr/lib64", "/lib64", "--symlink", "usr/lib",
             "/lib", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "/usr/bin/true"]
    row("bwrap", figures(run([COST, "start", "20", *bwrap]))["start"])
    if not os.path.exists(mis):
        return rows
    os.makedirs("/w/work", exist_ok=True)
    os.chown("/w/work", 1000, 1000)
    for who, prefix in (("root", []), ("ordinary user", ["/usr/local/bin/as-user"])):
        words = [*prefix, mis, "run", "-q", "-w", "/w/work"]
        report = subprocess.run([*words, "--report", "-", "--", "/bin/true"], capture_output=True, text=True, check=False)
        if report.returncode != 0:
            continue
        tier = json.loads(report.stdout)["tier"]
        measured = figures(run([*prefix, COST, "start", "20", mis, "run", "-q", "-w", "/w/work", "--", "/bin/true"]))
        row(f"later mis run, {who}, tier {tier}", measured["start"])
    return rows


def main() -> None:
    wanted = json.loads(sys.argv[1])
    if wanted["programs"]:
        rows = []
        for line in run([EXERCISE, "table"]).splitlines():
            name, hook, verified, size = line.split("\t")
            rows.append({"name": name, "hook": hook, "verified": int(verified), "bytes": int(size)})
        begun = time.monotonic_ns()
        run([EXERCISE, "load"])
        print(json.dumps({"programs": rows, "milliseconds": (time.monotonic_ns() - begun) / 1e6}))
        return
    prepare()
    rows, memory = ([], {}) if wanted["starts"] else accesses(wanted["sandboxes"], wanted["labels"])
    result = {"accesses": rows, "memory": memory, "starts": starts(f"{HERE}/mis")}
    print(json.dumps(result))


main()
