"""The suites of scripts/test: runs them one after another, adds up what each counted, prints the sum."""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "scripts/test.d"
BUILD = Path(os.environ.get("MIS_BUILD_DIR", ROOT / ".build")).resolve()
LOGS = ROOT / ".build/test-logs"
PYTHON = sys.executable
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
    # Runs only when it is named.
    on_demand: bool = False


def pytest(*arguments: str) -> Callable[[Path], list[str | Path]]:
    def command(results: Path) -> list[str | Path]:
        return [PYTHON, "-B", "-m", "pytest", "-q", "-rfEs", "-p", "no:cacheprovider", f"--junitxml={results}/pytest.xml",
                *arguments]
    return command


def script(*words: str) -> Callable[[Path], list[str | Path]]:
    return lambda results: [ROOT / words[0], *words[1:]]


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
    Suite("integration", "sandboxes on this machine", pytest("Tests/Integration", "--ignore=Tests/Integration/agents"),
          1200),
    Suite("agents", "real agents against a scripted model", pytest("Tests/Integration/agents"), 1200),
    Suite("quickstart", "scripts/quickstart", script("scripts/test.d/quickstart"), 600),
    # Other kernels: scripts/vm boots one and runs a suite in it. Half an hour of emulation.
    Suite("matrix", "Debian's kernels in virtual machines", script("scripts/test.d/matrix"), 3000, on_demand=True),
]

QUICK = False


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


def run(suite: Suite, environment: dict[str, str]) -> tuple[Count, float]:
    """Runs one suite; whatever goes wrong with the suite itself is one failure more."""
    results = LOGS / suite.name
    results.mkdir(parents=True, exist_ok=True)
    for old in results.glob("*.xml"):
        old.unlink()
    log = LOGS / f"{suite.name}.log"
    start = time.monotonic()
    print(f"{suite.name}: {suite.what} ...", flush=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in suite.command(results)], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        late = False
        try:
            status = process.wait(timeout=suite.limit)
        except subprocess.TimeoutExpired:
            late = True
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGKILL)
            raise
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
    print(f"{suite.name}: {count} in {seconds:.0f} s" + (f" ({trouble})" if trouble else ""), flush=True)
    if count.failed or (ON_CI and count.skipped):
        lines = text.splitlines()
        print(f"--- the end of {log} ---")
        print("\n".join(lines[-150:]))
        print("---", flush=True)
    return count, seconds


def binary() -> str:
    if given := os.environ.get("MIS"):
        return str(Path(given).resolve(strict=True))
    made = subprocess.run([ROOT / "scripts/build"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
    return made.stdout.splitlines()[-1]


def main() -> int:
    global QUICK
    parser = argparse.ArgumentParser(prog="scripts/test")
    names = [suite.name for suite in SUITES]
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    QUICK = options.quick
    if options.list:
        for suite in SUITES:
            print(f"{suite.name:12} {suite.what}")
        return 0
    chosen = [s for s in SUITES if (s.name in options.only if options.only else not s.on_demand and (s.quick or not QUICK))]

    # A shell without job control starts its background jobs with these ignored, and so would everything below be.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)

    start = time.monotonic()
    environment = dict(os.environ)
    total = Count()
    rows = []
    if any(suite.needs_binary for suite in chosen):
        try:
            environment["MIS"] = binary()
        except (subprocess.CalledProcessError, OSError, IndexError) as error:
            print(f"scripts/build: {error}")
            total.failed += 1
            chosen = [suite for suite in chosen if not suite.needs_binary]
        rows.append(("build", "", time.monotonic() - start))
    for suite in chosen:
        count, seconds = run(suite, environment)
        total += count
        rows.append((suite.name, str(count), seconds))
    print()
    for name, text, seconds in rows:
        print(f"{name:12} {seconds:6.0f} s  {text}")
    print(f"{'all':12} {time.monotonic() - start:6.0f} s")
    print(total)
    return 1 if total.failed or (ON_CI and total.skipped) else 0


if __name__ == "__main__":
    sys.exit(main())
