"""What the benches share: where they work, how they compile, who they run as, how they print."""

import ctypes
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".build/bench"
# An ordinary user for the measurements that must not have root's powers; needs no account.
ORDINARY = 1500


def fail(message: str) -> NoReturn:
    sys.exit(f"bench: {message}")


def compiled(name: str, *libraries: str, static: bool = False) -> Path:
    """The C program NAME.c beside this file, compiled; kept until its source changes."""
    source = HERE / f"{name}.c"
    key = hashlib.sha256(source.read_bytes()).hexdigest()[:16] + ("-static" if static else "")
    program = CACHE / f"{name}-{key}"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = Path(f"{program}.{os.getpid()}")
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-std=gnu2x", "-o", made,
                        source, *(["-static"] if static else []), *(f"-l{library}" for library in libraries)], check=True)
        made.rename(program)
    return program


def as_ordinary_user() -> list[str]:
    """The words before a command that make it an ordinary user's; none where we are one already."""
    if os.geteuid() != 0:
        return []
    return [shutil.which("setpriv") or fail("no setpriv; apt-get install util-linux"), f"--reuid={ORDINARY}",
            f"--regid={ORDINARY}", "--clear-groups"]


# On a disk, where the sessions of a run are, too, and in no folder that a sandbox has anyway.
PLACES = ("/var/tmp", "/var/lib", "/var/cache", "/srv")


def making_files(folder: Path) -> float:
    """Nanoseconds it takes to make a file in a new folder in this one."""
    times = []
    for number in range(4):
        below = folder / str(number)
        below.mkdir()
        for name in range(8):
            start = time.perf_counter_ns()
            os.close(os.open(below / str(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            times.append(time.perf_counter_ns() - start)
        shutil.rmtree(below)
    return statistics.median(times)


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder on a disk, not on a tmpfs, that every user may enter.

    Of several places that one where files are made fastest. For some minutes after many were removed, ext4 without a
    journal takes up to fifty times as long for each new one of the neighbourhood: whoever measures twice would measure
    what the first time has left.
    """
    folders = [Path(tempfile.mkdtemp(prefix="mis-bench-", dir=place)) for place in PLACES if os.access(place, os.W_OK)]
    try:
        folder = min(folders, key=making_files)
        folder.chmod(0o755)
        for other in folders:
            if other != folder:
                other.rmdir()
        yield folder
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """The same on a file system of its own where that can be made: ext4 as Debian's installer makes it, in a file on the
    disk, mounted in a mount namespace of this process's own. What others, and measurements before, have left on the disk
    is then out of the way. As an ordinary user it is ``work_folder()``.
    """
    with work_folder() as folder:
        tools = all(shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin") for tool in ("mkfs.ext4", "mount", "umount"))
        if os.geteuid() != 0 or not tools:
            yield folder
            return
        image, mounted = folder / "disk", folder / "mounted"
        mounted.mkdir()
        with image.open("wb") as disk:
            disk.truncate(2 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
        library = ctypes.CDLL(None, use_errno=True)
        if library.unshare(0x20000) != 0:  # CLONE_NEWNS
            fail(f"making a mount namespace: {os.strerror(ctypes.get_errno())}")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        if subprocess.run(["mount", "-o", "loop", image, mounted]).returncode != 0:
            print("bench: no file system of its own; measured on the disk as it is", file=sys.stderr)
            yield folder
            return
        try:
            yield mounted
        finally:
            # Guardians take some milliseconds longer than their runs; the last to leave takes it down.
            subprocess.run(["umount", "--lazy", mounted], check=True)


def place_for(folder: Path, name: str, ordinary: bool) -> Path:
    """A workspace in the work folder, and a made-up home beside it, owned by who will run there."""
    place = folder / name
    (place / "work").mkdir(parents=True)
    (place / "home").mkdir()
    if ordinary and os.geteuid() == 0:
        for path in (place, place / "work", place / "home"):
            os.chown(path, ORDINARY, ORDINARY)
    return place


def environment(place: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(place / "home"), "MIS_STATE_DIR": str(place / "state"), "LANG": "C.UTF-8"}


def tier_of(report: dict[str, Any]) -> str:
    return str(report["tier"])


def probe(prefix: list[str], mis: str, place: Path, *options: str) -> dict[str, Any]:
    """The report of an empty run: which tier it was, and that it works at all."""
    words = [*prefix, mis, "run", "-q", *options, "-w", str(place / "work"), "--report", "-", "--", "/bin/true"]
    done = subprocess.run(words, cwd=place / "work", env=environment(place), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        fail(f"{' '.join(words)}: exit status {done.returncode}: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def machine() -> dict[str, Any]:
    return {"kernel": platform.release(), "cores": os.cpu_count(), "architecture": platform.machine()}


def spread(values: list[float]) -> dict[str, float]:
    """Median, quartiles and the 95th percentile."""
    ordered = sorted(values)
    quarters = statistics.quantiles(ordered, n=4) if len(ordered) > 1 else [ordered[0]] * 3
    return {"median": statistics.median(ordered), "q1": quarters[0], "q3": quarters[2],
            "p95": ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]}


def table(rows: list[list[str]]) -> str:
    """Columns lined up; the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
