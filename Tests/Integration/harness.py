"""The stage these tests play on, and the runner that every one of them uses.

pytest moves into a mount namespace of its own (`enter_stage`): an account for the tests is laid over /etc/passwd there
and file systems can be mounted, and nothing of it is seen outside or outlives pytest. pytest also becomes the reaper of
whatever loses its parent, so that `Leftovers` sees each process a run could leave behind as a child of its own.
"""

import ctypes
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

ACCOUNT = "mistest"
UID = GID = 4217
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How many times longer than on a machine of its own a test waits before it gives up: an emulated processor is slow.
# It stretches no bound that a test puts on the product.
PATIENCE = float(os.environ.get("MIS_TEST_PATIENCE", "1"))
STATUS = {
    "oom": 120, "policy": 121, "watchdog": 122, "enforcement-lost": 123, "timeout": 124, "setup": 125,
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
_MS_BIND, _MS_REC, _MS_PRIVATE, _CLONE_NEWNS, _PR_SET_CHILD_SUBREAPER = 4096, 1 << 14, 1 << 18, 0x20000, 36
_stage: Path | None = None


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def mount(source: str, target: str | Path, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    encoded = [text if text is None else str(text).encode() for text in (source, target, kind)]
    _call("mount", *encoded, ctypes.c_ulong(flags), data.encode() if data else None)


def unmount(target: str | Path) -> None:
    _call("umount2", str(target).encode(), 2)  # MNT_DETACH


def enter_stage() -> Path:
    """Made once; the folder everything of the tests lives in."""
    global _stage
    if _stage:
        return _stage
    if os.getuid() != 0:
        raise RuntimeError("the integration tests need root: half of them are about runs by root")
    _call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _call("unshare", _CLONE_NEWNS)
    mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    _stage = Path(tempfile.mkdtemp(prefix="mis-tests-", dir="/var/tmp"))
    _stage.chmod(0o755)
    for file, line in {
        "/etc/passwd": f"{ACCOUNT}:x:{UID}:{GID}::{_stage}/home:/bin/bash\n",
        "/etc/group": f"{ACCOUNT}:x:{GID}:\n",
    }.items():
        copy = _stage / Path(file).name
        copy.write_text(Path(file).read_text().rstrip("\n") + "\n" + line)
        mount(str(copy), file, flags=_MS_BIND)
    return _stage


def leave_stage() -> None:
    if _stage:
        for file in ("/etc/passwd", "/etc/group"):
            unmount(file)
        shutil.rmtree(_stage, ignore_errors=True)


def binary() -> str:
    """The program under test: $MIS, else what scripts/build makes."""
    if given := os.environ.get("MIS"):
        return str(Path(given).resolve(strict=True))
    build = Path(__file__).resolve().parents[2] / "scripts/build"
    return subprocess.run([build], check=True, stdout=subprocess.PIPE, text=True, timeout=3600).stdout.split("\n")[-2]


@dataclass
class Result:
    """How a run went, as its caller sees it."""

    status: int  # as a shell's $?
    out: bytes
    err: bytes
    seconds: float
    report_file: Path
    state: Path

    @property
    def stdout(self) -> str:
        return self.out.decode(errors="replace")

    @property
    def stderr(self) -> str:
        return self.err.decode(errors="replace")

    @cached_property
    def report(self) -> dict[str, Any]:
        lines = self.report_file.read_text().splitlines()
        assert len(lines) == 1, f"the report is one JSON object on one line: {lines}"
        return json.loads(lines[0])

    @property
    def exit(self) -> dict[str, Any]:
        return self.report["exit"]

    @property
    def session(self) -> Path:
        return self.state / "sessions" / self.report["session"]

    def stream(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.session / f"{name}.jsonl").read_bytes().splitlines()]

    def ok(self) -> "Result":
        """For runs that have to succeed: what went wrong is in the message."""
        assert self.status == 0, (
            f"status {self.status}\n--- stdout\n{self.stdout[-4000:]}\n--- stderr\n{self.stderr[-4000:]}"
        )
        return self

    def refused(self, *words: str) -> "Result":
        """A set-up failure: status 125, and one clear line with these words in it."""
        assert self.status == 125, f"status {self.status}, not 125\n{self.stdout[-2000:]}\n{self.stderr[-4000:]}"
        lines = [line for line in self.stderr.splitlines() if ", session " not in line]
        assert lines and all(line.startswith("mis: ") for line in lines), f"not lines of mis's own: {lines}"
        for word in words:
            assert word in self.stderr, f"{word!r} is not in: {self.stderr}"
        return self


@dataclass
class Sandbox:
    """One way to start mis, with a home, a workspace and a state folder of its own."""

    launcher: str  # "user", "root" or "sudo"
    mis: str
    base: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Through sudo, an account's home is what /etc/passwd says; it is the same for all such sandboxes.
        self.home = Path(pwd.getpwnam(ACCOUNT).pw_dir) if self.launcher == "sudo" else self.base / "home"
        self.workspace = self.base / "work"
        self.state = self.base / "state"
        self.reports = self.base / "reports"
        self.base.mkdir(parents=True, exist_ok=True)
        self.base.chmod(0o755)
        for folder in (self.home, self.workspace, self.state, self.reports):
            folder.mkdir(exist_ok=True)
        self.own(self.home, self.workspace)
        if self.launcher == "user":
            self.own(self.state, self.reports)

    @property
    def tier(self) -> str:
        return "landlock" if self.launcher == "user" else os.environ.get("MIS_ROOT_TIER", "fanotify")

    @property
    def owner(self) -> int:
        """Who owns the workspace on the host, and so must own what the agent makes there."""
        return 0 if self.launcher == "root" else UID

    def own(self, *paths: Path) -> None:
        for path in paths:
            os.chown(path, self.owner, self.owner, follow_symlinks=False)

    def write(self, path: str | Path, text: str | bytes, mode: int = 0o644) -> Path:
        """A file as the person at the keyboard would have made it; relative to the workspace."""
        target = self.workspace / path
        for folder in reversed(target.parents):
            if not folder.exists():
                folder.mkdir()
                self.own(folder)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        target.chmod(mode)
        self.own(target)
        return target

    @property
    def environment(self) -> dict[str, str]:
        who = {"user": ACCOUNT, "root": "root", "sudo": "root"}[self.launcher]
        variables = {
            "PATH": PATH, "HOME": str(self.home), "USER": who, "LOGNAME": who, "SHELL": "/bin/bash", "TERM": "xterm",
            "LANG": "C.UTF-8", "MIS_STATE_DIR": str(self.state),
        }  # fmt: skip
        if self.launcher == "sudo":
            variables |= {"HOME": "/root", "SUDO_UID": str(UID), "SUDO_GID": str(GID), "SUDO_USER": ACCOUNT}
        return variables

    def as_caller(self, command: Sequence[str | Path | bytes]) -> list[str | Path | bytes]:
        """The command, run by who runs mis."""
        if self.launcher == "user":
            return ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups", *command]
        return list(command)

    def command(self, *agent: str | bytes, options: Sequence[str] = (), profile: str | None = None) -> list[Any]:
        named = ["-p", profile] if profile else []
        return self.as_caller([self.mis, "run", *named, *options, *(["--", *agent] if agent else [])])

    def start(
        self, *agent: str | bytes, options: Sequence[str] = (), profile: str | None = None,
        env: dict[str, str] | None = None, cwd: Path | None = None, prefix: Sequence[str] = (), **popen: Any,
    ) -> subprocess.Popen[bytes]:  # fmt: skip
        """mis itself is the process returned: setpriv and the prefixes exec it."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | popen
        process = subprocess.Popen(
            [*prefix, *self.command(*agent, options=options, profile=profile)], cwd=cwd or self.workspace,
            env=self.environment | (env or {}), **streams,
        )  # fmt: skip
        self.started.append(process)
        return process

    def traced(self, strace: Sequence[str | Path], *agent: str, options: Sequence[str] = ()) -> subprocess.Popen[str]:
        """mis, and all that it starts, under strace (Debian package strace), which is the process returned."""
        command = ["strace", "-f", "-qq", *strace, self.mis, "run", "-q", *options, "--", *agent]
        process = subprocess.Popen(
            self.as_caller(command), env=self.environment, cwd=self.workspace, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.started.append(process)  # type: ignore[arg-type]
        return process

    def run(
        self, *agent: str | bytes, options: Sequence[str] = (), report: bool = True, timeout: float = 60,
        input: bytes | None = None, **rest: Any,
    ) -> Result:  # fmt: skip
        report_file = self.reports / f"{len(self.started)}.json"
        if report:
            options = [*options, "--report", str(report_file)]
        if input is not None:
            rest["stdin"] = subprocess.PIPE
        began = time.monotonic()
        process = self.start(*agent, options=options, **rest)
        try:
            out, err = process.communicate(input, timeout=timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"mis did not end in {timeout * PATIENCE:g} s; stderr: {err!r}, stdout: {out[-2000:]!r}") from None
        status = process.returncode if process.returncode >= 0 else 128 - process.returncode
        return Result(status, out or b"", err or b"", time.monotonic() - began, report_file, self.state)

    def shell(self, script: str, **rest: Any) -> Result:
        return self.run("/bin/sh", "-c", script, **rest)

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()


# What may be left behind


def children(pid: int) -> list[int]:
    found = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*"))
    except OSError:  # it ended between being listed and being looked at: it has no children then
        return []
    for task in tasks:
        try:
            found += [int(word) for word in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def descendants(pid: int) -> list[int]:
    direct = children(pid)
    return direct + [below for child in direct for below in descendants(child)]


def inside_namespace(pid: int) -> bool | None:
    """Whether this process is in another pid namespace than ours: the guardian is not, pid 1 of a sandbox is.

    None of one that has ended: a launcher's helpers may, between being listed and being looked at.
    """
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
    except OSError:  # ENOENT, or EACCES where it ended between the path's lookup and the reading of the link
        return None


def sandbox_init(mis: int) -> int:
    """Pid 1 of the sandbox, as the host numbers it."""
    return wait_for(
        lambda: next((child for child in children(mis) if inside_namespace(child)), 0), "pid 1 of the sandbox"
    )


def guardian(mis: int) -> int:
    """The child of mis that is not the sandbox."""

    def look() -> int:
        found = [child for child in children(mis) if inside_namespace(child) is False]
        return found[0] if len(found) == 1 else 0

    sandbox_init(mis)
    return wait_for(look, "the guardian")


def cgroups() -> set[str]:
    return {str(folder) for folder in Path("/sys/fs/cgroup").glob("*/mis/mis-*")} | {
        str(folder) for folder in Path("/sys/fs/cgroup").glob("mis/mis-*")
    }


def describe(pid: int, closely: bool = False) -> str:
    """Closely: with each of its threads, its state and what of the kernel it is in."""
    described = str(pid)
    try:
        described += f" {Path(f'/proc/{pid}/cmdline').read_bytes()!r}"
        if not closely:
            return described
        for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
            state = (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
            described += f" {task.name} ({state})"
            described += " " + " < ".join(line.split()[-1] for line in (task / "stack").read_text().splitlines()[:8])
    except OSError:  # it is going
        pass
    return described


class Leftovers:
    """What is there that was not there before."""

    def __init__(self) -> None:
        self.mounts = set(Path("/proc/self/mountinfo").read_text().splitlines())
        self.cgroups = cgroups()
        self.runtime = self._runtime()
        self.began = time.monotonic_ns() // 1000

    @staticmethod
    def _runtime() -> set[str]:
        return {str(path) for path in Path("/run/mis").glob("**/*")}

    def _stale(self, folder: str) -> bool:
        """Other people's sandboxes may come and go on this machine: one counts whose launcher is gone."""
        _, launcher, made = Path(folder).name.split("-")
        return int(made) >= self.began and not Path(f"/proc/{launcher}").exists()

    def now(self, spare: Sequence[int] = (), closely: bool = False) -> list[str]:
        """Spared are processes the test still runs itself."""
        _reap(spare)
        found = [f"process {describe(pid, closely)}" for pid in descendants(os.getpid()) if pid not in spare]
        found += [f"cgroup {folder}" for folder in sorted(cgroups() - self.cgroups) if self._stale(folder)]
        found += [f"mount {line}" for line in set(Path("/proc/self/mountinfo").read_text().splitlines()) - self.mounts]
        found += [f"runtime {path}" for path in sorted(self._runtime() - self.runtime)]
        return found

    def none_within(self, seconds: float, spare: Sequence[int] = ()) -> None:
        """Seconds of a machine with a processor to spare: on a crowded one everything takes longer."""
        end = time.monotonic() + seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        while found := self.now(spare):
            if time.monotonic() >= end:
                found = self.now(spare, closely=True) or found
                raise AssertionError(f"left behind after {seconds} s:\n" + "\n".join(found))
            time.sleep(0.02)

    def remove(self) -> None:
        """So that one test's failure is not the next one's too."""
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for folder in cgroups() - self.cgroups:
            if self._stale(folder):
                try:
                    os.rmdir(folder)
                except OSError:
                    continue


def _reap(spare: Sequence[int]) -> None:
    """Orphans became our children; their zombies are not somebody else's to collect."""
    for pid in children(os.getpid()):
        if pid in spare:
            continue
        try:
            os.waitpid(pid, os.WNOHANG | 0x40000000)  # __WALL
        except ChildProcessError:
            continue


def wait_for(look: Callable[[], Any], what: str, seconds: float = 10) -> Any:
    end = time.monotonic() + seconds * PATIENCE
    while True:
        if found := look():
            return found
        assert time.monotonic() < end, f"{what}: not within {seconds * PATIENCE:g} s"
        time.sleep(0.005)
