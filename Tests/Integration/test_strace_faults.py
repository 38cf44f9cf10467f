"""Each system call of a launch is made to fail in turn: the agent then runs fully confined, or not at all.

strace does the failing (Debian package strace). It counts calls for each task by itself, so "the third" is tried in
mis, in the child that sets up, and in pid 1 alike.
"""

import json
import os
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import Leftovers, Sandbox

# What the agent can see of its own confinement. None of this uses a call that is made to fail.
POSTURE = r"""
import json, os, resource, socket, sys
status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)
def attempt(deed):
    try: deed()
    except OSError as error: return error.errno
    return 'went'
def connect():
    # Forbidden by Landlock's scope and by nothing else: the network is the host's here.
    with socket.socket(socket.AF_UNIX) as s: s.connect('\0' + sys.argv[1])
print(json.dumps({
    'status': {name: status[name].split() for name in ('NoNewPrivs', 'Seccomp', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd',
                                                       'CapAmb', 'Uid', 'Gid', 'Groups')},
    'pid': os.getpid(), 'root': sorted(os.listdir('/')), 'home': sorted(os.listdir(os.path.expanduser('~'))),
    'proc': sum(1 for name in os.listdir('/proc') if name.isdigit()), 'dev': sorted(os.listdir('/dev')),
    'foreign': [name for name in os.listdir('/proc/self/ns') if os.readlink('/proc/self/ns/' + name) in sys.argv[2:]],
    'map': open('/proc/self/uid_map').read().split()[::2], 'host': os.uname().nodename,
    'mounts': sorted(' '.join(line.split()[4:6]) for line in open('/proc/self/mountinfo')),
    'landlock': attempt(connect), 'write': attempt(lambda: open('/usr/made', 'w')),
    # Of the tier's own: a mask below the workspace, and a name that only a permission event can deny.
    'denied': attempt(lambda: open('secret')), 'named': attempt(lambda: open('.env')),
    'seccomp': attempt(lambda: os.setxattr('/tmp', b'security.x', b'')),
    'limits': [resource.getrlimit(which) for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)],
    'fds': sorted(os.listdir('/proc/self/fd')), 'session': os.getsid(0), 'environment': sorted(os.environ),
}))
"""

CALLS = [
    "clone3", "unshare", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "pivot_root",
    "mount", "umount2", "fchdir", "chdir", "mkdirat", "symlinkat", "mknodat", "fchownat", "sethostname", "setgroups",
    "setresuid", "setresgid", "capset", "prctl", "prlimit64", "keyctl", "landlock_create_ruleset", "landlock_add_rule",
    "landlock_restrict_self", "seccomp", "close_range", "dup3", "execveat", "memfd_create", "socketpair", "pidfd_open",
    "sendmsg", "setsid", "fanotify_init", "fanotify_mark", "timerfd_create", "epoll_create1", "signalfd4", "flock",
    "inotify_init1", "inotify_add_watch",
]  # fmt: skip
ERRORS = ("EPERM", "ENOSYS", "ENOMEM")


@dataclass
class Outcome:
    status: int
    posture: dict | None
    stderr: str


class Stage:
    """One sandbox, its posture when nothing fails, and how often each call is made."""

    def __init__(self, sandbox: Sandbox, abstract: str) -> None:
        self.sandbox = sandbox
        for name in ("secret", ".env"):
            sandbox.write(name, "hidden")
        # The network is shared here, and a time namespace is not made.
        own = [str(path.readlink()) for path in Path("/proc/self/ns").iterdir()]
        self.agent = [
            "/usr/bin/python3",
            "-c",
            POSTURE,
            abstract,
            *(name for name in own if name[:3] not in ("net", "tim")),
        ]
        log = sandbox.reports / "calls"
        self.whole = self.run(["-o", str(log), "-e", f"trace={','.join(CALLS)}"])
        assert self.whole.status == 0, self.whole.stderr
        self.calls: Counter[str] = Counter()
        for (_, call), count in Counter(re.findall(r"^(\d+) +([a-z]\w+)\(", log.read_text(), re.MULTILINE)).items():
            # strace shows calls it has no name for, whatever it was asked for.
            if call in CALLS:
                self.calls[call] = max(self.calls[call], count)

    def run(self, strace: list[str]) -> Outcome:
        sandbox = self.sandbox
        options = ["--net", "host", "--deny", "secret", "--require", sandbox.tier]
        process = sandbox.traced(strace, *self.agent, options=options)
        out, err = process.communicate(timeout=40)
        return Outcome(process.returncode, json.loads(out) if out else None, err)

    def fail(self, call: str, number: int, error: str) -> str | None:
        """What is wrong with how mis took it; None when all is well."""
        inject = f"inject={call}:error={error}:when={number}"
        outcome = self.run(["-o", "/dev/null", "-e", f"trace={call}", "-e", inject])
        told = f"{inject}: status {outcome.status}, said {outcome.stderr.strip()!r}"
        if outcome.posture is not None:
            different = {key for key, value in self.whole.posture.items() if outcome.posture[key] != value}
            if different:
                shown = {key: (outcome.posture[key], self.whole.posture[key]) for key in different}
                return f"{told}: it ran, and not as confined as it should be (or seen otherwise): {shown}"
            # Enforcement may be lost later on; then the agent is killed and that is said.
            return None if outcome.status in (0, 123) else f"{told}: it ran"
        if outcome.status == 123:
            return None
        if outcome.status != 125:
            return f"{told}: nothing ran, and that is 125"
        if "mis: " not in outcome.stderr:
            return f"{told}: does not say what failed"
        return None


@pytest.fixture(scope="module")
def abstract() -> Iterator[str]:
    """A service of the host, in its network and out of a sandbox's reach."""
    name = f"mis-tests-abstract-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen(1000)
        yield name


@pytest.mark.parametrize("launcher", ["user", "root"])
def test_a_launch_in_which_one_call_fails(make_sandbox, abstract: str, leftovers: Leftovers, launcher: str) -> None:
    stage = Stage(make_sandbox(launcher), abstract)
    posture = stage.whole.posture
    assert posture
    assert posture["foreign"] == [] and posture["landlock"] == 1, "the posture tells confined from not"
    assert posture["denied"] in (1, 13)
    assert posture["named"] == (1 if launcher == "root" else "went")
    assert posture["status"]["NoNewPrivs"] == ["1"] and posture["status"]["Seccomp"] == ["2"]
    for call in (
        "clone3",
        "unshare",
        "move_mount",
        "mount",
        "pivot_root",
        "landlock_restrict_self",
        "seccomp",
        "capset",
        "execveat",
    ):
        assert stage.calls[call], f"{call} is not made any more: is another in its place?"

    cases = []
    for call, count in sorted(stage.calls.items()):
        numbers = {1, 2, 3, (count + 1) // 2, count} if count < 20 else {1, 2, count // 3, count * 2 // 3, count}
        cases += [(call, number, ERRORS[(number + len(call)) % 3]) for number in sorted(numbers) if number <= count]
    with ThreadPoolExecutor(2) as pool:
        wrong = [text for text in pool.map(lambda case: stage.fail(*case), cases) if text]
    leftovers.none_within(5)
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong)


def test_what_the_child_failed_at_is_told_and_not_its_end(root: Sandbox) -> None:
    """The launcher finds the socket closed when it hands over an id map: it is late here, and the child has failed."""
    log = root.reports / "calls"

    def run(*inject: str) -> tuple[int, str]:
        process = root.traced(["-o", log, "-e", "trace=open_tree,pidfd_send_signal", *inject], "/bin/true")
        _, err = process.communicate(timeout=40)
        return process.returncode, err

    assert run() == (0, "")
    clones = [line for line in log.read_text().splitlines() if "open_tree(" in line]
    first = next(number for number, line in enumerate(clones, 1) if 'open_tree(AT_FDCWD, "/' in line)
    inject = ["-e", f"inject=open_tree:error=EIO:when={first}", "-e", "inject=pidfd_send_signal:delay_enter=500000"]
    status, err = run(*inject)
    assert status == 125 and "EIO (Input/output error)" in err, err
    assert "id map" not in err and "EPIPE" not in err, err


def test_the_posture_of_a_process_that_is_not_confined(make_sandbox, abstract: str) -> None:
    """Without this, the comparison above might compare nothing."""
    stage = Stage(make_sandbox("user"), abstract)
    bare = subprocess.run(
        stage.sandbox.as_caller(stage.agent), capture_output=True, text=True, timeout=20, env=stage.sandbox.environment,
        check=True,
    )  # fmt: skip
    seen = json.loads(bare.stdout)
    same = {key for key, value in stage.whole.posture.items() if seen[key] == value}
    assert seen["landlock"] == "went" and len(seen["foreign"]) > 3
    assert not same & {"denied", "status", "pid", "root", "proc", "dev", "foreign", "mounts", "landlock", "write"}, same
