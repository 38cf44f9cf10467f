"""The suites of scripts/test: runs them one after another, adds up what each counted, prints the sum.

One suite in virtual machines runs beside those after it, with the processor time that they leave.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "scripts/test.d"
BUILD = Path(os.environ.get("MIS_BUILD_DIR", ROOT / ".build")).resolve()
LOGS = ROOT / ".build/test-logs"
PYTHON = sys.executable
BESIDE = ["nice", "-n", "19", "ionice", "-c", "3"]
ON_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.skipped


@dataclass(frozen=True)
class Suite:
    name: str
    what: str
    # The command, given the folder for the suite's results.
    command: Callable[[Path], list[str | Path]]
    # Seconds after which the suite is stopped and has failed.
    limit: int
    quick: bool = False
    # Whether it runs the mis binary.
    needs_binary: bool = True
    # Boots virtual machines (scripts/vm), whose disks are made while mis is compiled.
    machines: bool = False
    # Runs beside the suites that follow.
    beside: bool = False
    # Runs only when it is named.
    on_demand: bool = False


def pytest(*arguments: str) -> Callable[[Path], list[str | Path]]:
    def command(results: Path) -> list[str | Path]:
        return [PYTHON, "-B", "-m", "pytest", "-q", "-rfEs", "-p", "no:cacheprovider", f"--junitxml={results}/pytest.xml",
                *arguments]
    return command


def script(*words: str) -> Callable[[Path], list[str | Path]]:
    return lambda results: [ROOT / words[0], *words[1:]]


def matrix(at_once: int, *parts: str) -> Callable[[Path], list[str | Path]]:
    return lambda results: [ROOT / "scripts/test.d/matrix", results, str(at_once), *parts]


SUITES = [
    Suite("format", "formatting and syntax of every source file", script("scripts/test.d/format"), 300,
          quick=True, needs_binary=False),
    Suite("unit", "swift test",
          lambda results: ["swift", "test", "--scratch-path", str(BUILD), "--xunit-output", str(results / "swift.xml")],
          1500, quick=True, needs_binary=False),
    Suite("house", "install, man page, completions, the scripts themselves", script("scripts/test.d/house"), 300,
          quick=True),
    Suite("fuzz", "profiles and arguments of random bytes",
          lambda results: [PYTHON, "-B", HERE / "fuzz.py", "--seconds", "10" if QUICK else "45"], 300, quick=True),
    # Other kernels, emulated. Not before everything is compiled: beside a compiler they would get nothing.
    Suite("matrix-programs", "the kernel's programs, on Debian's kernels in virtual machines",
          matrix(1, "programs", "doctor"), 3900, machines=True, beside=True),
    Suite("integration", "sandboxes on this machine", pytest("Tests/Integration", "--ignore=Tests/Integration/agents"),
          1200),
    Suite("agents", "real agents against a scripted model", pytest("Tests/Integration/agents"), 1200),
    Suite("quickstart", "scripts/quickstart", script("scripts/test.d/quickstart"), 600),
    Suite("matrix-runs", "mis run, on Debian's kernels in virtual machines", matrix(2, "runs"), 3900, machines=True),
    Suite("matrix-scale", "tier bpf in numbers, in a virtual machine", matrix(1, "scale"), 2000, machines=True,
          on_demand=True),
]

QUICK = False
# What this program started and has not seen end, and whose turn it is to print.
running: set[subprocess.Popen] = set()
turn = threading.Lock()


def count_junit(path: Path) -> Count:
    count = Count()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        tags = {child.tag for child in case}
        if tags & {"failure", "error"}:
            count.failed += 1
        elif "skipped" in tags:
            count.skipped += 1
        else:
            count.passed += 1
    return count


def count_tap(text: str) -> Count:
    count = Count()
    for line in text.splitlines():
        if line.startswith("not ok "):
            count.failed += 1
        elif re.match(r"ok .*# SKIP", line):
            count.skipped += 1
        elif line.startswith("ok "):
            count.passed += 1
    return count


def stop(process: subprocess.Popen) -> None:
    """A suite and all it started. They get a while to clear up after themselves."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def execute(suite: Suite, environment: dict[str, str], results: Path, log: Path) -> tuple[int, bool]:
    """The exit status, and whether the suite had to be stopped."""
    command = [*(BESIDE if suite.beside else []), *map(str, suite.command(results))]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        running.add(process)
        try:
            return process.wait(timeout=suite.limit), False
        except subprocess.TimeoutExpired:
            stop(process)
            return process.wait(), True
        except BaseException:
            stop(process)
            raise
        finally:
            running.discard(process)


def run(suite: Suite, environment: dict[str, str]) -> tuple[Count, float]:
    """Runs one suite; whatever goes wrong with the suite itself is one failure more."""
    results = LOGS / suite.name
    results.mkdir(parents=True, exist_ok=True)
    for old in results.glob("*.xml"):
        old.unlink()
    log = LOGS / f"{suite.name}.log"
    start = time.monotonic()
    with turn:
        print(f"{suite.name}: {suite.what} ...", flush=True)
    status, late = execute(suite, environment, results, log)
    text = log.read_text(errors="replace")
    count = count_tap(text)
    trouble = None
    for path in results.glob("*.xml"):
        try:
            count += count_junit(path)
        except ElementTree.ParseError as error:
            trouble = f"{path}: {error}"
    if late:
        trouble = f"stopped after {suite.limit} s"
    elif status != 0 and count.failed == 0:
        trouble = f"exit status {status}"
    elif count.total == 0:
        trouble = "no test ran"
    if trouble:
        count.failed += 1
    seconds = time.monotonic() - start
    with turn:
        print(f"{suite.name}: {count} in {seconds:.0f} s" + (f" ({trouble})" if trouble else ""), flush=True)
        # Which machine took how long.
        for line in text.splitlines():
            if suite.machines and line.startswith("== "):
                print(f"    {line.removeprefix('== ')}", flush=True)
        if count.failed or (ON_CI and count.skipped):
            print(f"--- the end of {log} ---")
            print("\n".join(text.splitlines()[-150:]))
            print("---", flush=True)
    return count, seconds


def binary() -> str:
    if given := os.environ.get("MIS"):
        return str(Path(given).resolve(strict=True))
    made = subprocess.run([ROOT / "scripts/build"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
    return made.stdout.splitlines()[-1]


def exerciser() -> str:
    """What drives the kernel's programs without mis, for the machines. Made before a suite holds SwiftPM's lock."""
    subprocess.run(["swift", "build", "-c", "release", "--static-swift-stdlib", "--scratch-path", str(BUILD), "--product",
                    "arbiter-exercise"], stdin=subprocess.DEVNULL, check=True)  # fmt: skip
    return str(BUILD / "release/arbiter-exercise")


def make_disks() -> subprocess.Popen:
    """Begins to make the machines' disks, where there are none. Whoever needs them waits, and says what went wrong."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / "machines.log").open("wb") as output:
        process = subprocess.Popen([*BESIDE, str(ROOT / "scripts/vm"), "build"], stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
    running.add(process)
    return process


def main() -> int:
    global QUICK
    parser = argparse.ArgumentParser(prog="scripts/test")
    names = [suite.name for suite in SUITES]
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=[*names, "matrix"], metavar="NAME")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    QUICK = options.quick
    if options.list:
        for suite in SUITES:
            print(f"{suite.name:15} {suite.what}")
        return 0
    wanted = set(options.only or ())
    if "matrix" in wanted:
        wanted |= {name for name in names if name.startswith("matrix-")}
    chosen = [s for s in SUITES if (s.name in wanted if wanted else not s.on_demand and (s.quick or not QUICK))]

    # A shell without job control starts its background jobs with these ignored, and so would everything below be.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))

    start = time.monotonic()
    environment = dict(os.environ)
    total = Count()
    rows = []
    beside: dict[str, Future[tuple[Count, float]]] = {}
    try:
        if any(suite.machines for suite in chosen):
            make_disks()
        if any(suite.needs_binary for suite in chosen):
            try:
                environment["MIS"] = binary()
                if any(suite.machines for suite in chosen):
                    environment["ARBITER_EXERCISE"] = exerciser()
            except (subprocess.CalledProcessError, OSError, IndexError) as error:
                print(f"scripts/build: {error}")
                total.failed += 1
                chosen = [suite for suite in chosen if not suite.needs_binary]
            rows.append(("build", "", time.monotonic() - start))
        threads = ThreadPoolExecutor()
        for suite in chosen:
            if suite.beside:
                beside[suite.name] = threads.submit(run, suite, environment)
                continue
            count, seconds = run(suite, environment)
            total += count
            rows.append((suite.name, str(count), seconds))
        for name, ended in beside.items():
            count, seconds = ended.result()
            total += count
            rows.append((name, str(count), seconds))
    finally:
        # Nothing, but after an interrupt.
        for process in list(running):
            stop(process)
    print()
    for name, text, seconds in rows:
        print(f"{name:15} {seconds:6.0f} s  {text}")
    print(f"{'all':15} {time.monotonic() - start:6.0f} s")
    print(total)
    return 1 if total.failed or (ON_CI and total.skipped) else 0


if __name__ == "__main__":
    sys.exit(main())
