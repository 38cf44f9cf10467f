"""What only tier bpf does. Not collected by default: Tests/Kernel/runs.sh names it, in virtual machines whose kernels have
the tier; there nothing here may fall back to another one.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Result, Sandbox, guardian, sandbox_init, wait_for
from test_policy import Policy

EXERCISE = "/payload/arbiter-exercise"
PINS = Path("/sys/fs/bpf/mis")
BPF = ("--require", "bpf")


def shell(sandbox: Sandbox, script: str, *options: str, **rest) -> Result:
    result = sandbox.shell(script, options=[*BPF, *options], **rest)
    assert "tier bpf" in result.stderr, result.stderr
    return result


def denied(result: Result, path: Path | str) -> dict:
    [found] = [entry for entry in result.report["denials"] if entry["object"] == str(path)]
    assert found["layer"] == "bpf", found
    return found


def is_gone(pid: int) -> bool:
    """Orphans become the test's own children: what is dead and not yet collected is gone, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def entries() -> str:
    """What is in the kernel's tables, after those of dead runs have been collected."""
    return subprocess.run([EXERCISE, "collect"], check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture(params=("root", "sudo"))
def sandbox(request: pytest.FixtureRequest, make_sandbox) -> Sandbox:
    return make_sandbox(request.param)


@pytest.fixture
def tables() -> Iterator[None]:
    """Whatever a test does, the kernel's tables are as before afterwards."""
    before = entries()
    yield
    wait_for(lambda: entries() == before, f"the kernel's tables as before: {before}", seconds=10)


def test_the_machine_offers_it(root: Sandbox) -> None:
    said = subprocess.run([root.mis, "doctor"], capture_output=True, text=True, timeout=60)
    assert said.stdout.startswith("tier: bpf\n")
    assert root.run("/bin/true", options=BPF).ok().report["tier"] == "bpf"


@pytest.mark.parametrize(
    ("loss", "check", "told", "fix"),
    [
        ("umount -l /sys/fs/bpf", "bpf-file-system", "no BPF file system", "mount -t bpf bpf /sys/fs/bpf"),
        ("mount -t tmpfs none /sys/kernel/btf", "bpf-type-information", "vmlinux", "CONFIG_DEBUG_INFO_BTF=y"),
        ("umount -l /sys/fs/cgroup", "bpf-cgroup", "v2", "mount -t cgroup2"),
        ("bounding=-sys_admin", "bpf-privileges", "missing: CAP_SYS_ADMIN", "run mis outside"),
    ],
)
def test_what_the_tier_lacks_is_told(root: Sandbox, loss: str, check: str, told: str, fix: str) -> None:
    """Of a machine that has the tier, one thing is taken away, for the one who asks."""
    asked = [root.mis, "doctor", "--json"]
    if loss.startswith("bounding="):
        words = ["setpriv", "--bounding-set", loss.removeprefix("bounding="), *asked]
    else:
        words = ["unshare", "-m", "sh", "-c", f'{loss} && exec "$@"', "sh", *asked]
    said = subprocess.run(words, capture_output=True, text=True, timeout=120)
    found = json.loads(said.stdout)
    gaps = {entry["id"]: entry for entry in found["checks"] if not entry["ok"] and entry["id"].startswith("bpf-")}
    assert told in gaps[check]["detail"] and fix in gaps[check]["fix"], gaps
    # Nothing is blamed that is there; what comes of it may be.
    assert set(gaps) <= {check, "bpf-program"}, gaps
    whole = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    assert [entry["id"] for entry in json.loads(whole.stdout)["checks"] if entry["id"].startswith("bpf-") and not entry["ok"]] == []


def test_entries_go_with_the_sandbox(tables: None, sandbox: Sandbox) -> None:
    assert shell(sandbox, "cat /etc/hostname").ok().report["verdicts"]["allow"] > 0


# Names that do not exist yet


def test_a_protected_name_never_comes_to_be(tables: None, sandbox: Sandbox) -> None:
    ways = {
        "make": "mkdir -p .git/hooks",
        "file": "mkdir .vscode",
        "create": "echo {} >.mcp.json",
        "link": "echo x >plain; ln plain .mcp.json",
        "rename": "echo x >plain; mv plain .mcp.json",
        "symlink": "ln -s plain .mcp.json",
        "ready-made": "mkdir -p other/hooks; mv other .git",
    }
    for name, script in ways.items():
        shutil.rmtree(sandbox.workspace)
        sandbox.workspace.mkdir()
        sandbox.own(sandbox.workspace)
        result = shell(sandbox, f"({script}) 2>said; ls -A; cat said; echo honest >neighbour; cat neighbour")
        assert "Permission denied" in result.stdout and result.stdout.endswith("honest\n"), (name, result.stdout)
        for path in (".git/hooks", ".vscode", ".mcp.json"):
            assert not (sandbox.workspace / path).exists(), name
        assert any(entry["layer"] == "bpf" and "protect" in entry["rule"] for entry in result.report["denials"]), name
        # Prevented, not undone: nothing had to be moved aside.
        assert not (result.session / "removed").exists()


def test_work_in_a_repository_goes_on(sandbox: Sandbox) -> None:
    subprocess.run(["git", "init", "-q", sandbox.workspace], check=True, timeout=60)
    for path in (sandbox.workspace, *sandbox.workspace.rglob("*")):
        sandbox.own(path)
    script = (
        "echo x >f && git add f && git -c user.name=a -c user.email=a@b commit -qm first && git checkout -qb other && "
        "git mv f g && git -c user.name=a -c user.email=a@b commit -qm second && git log --oneline | wc -l; "
        "echo true >.git/hooks/pre-commit; git config a.b c"
    )
    result = shell(sandbox, script)
    assert result.stdout == "2\n", result.stderr
    assert not (sandbox.workspace / ".git/hooks/pre-commit").exists()


def test_patterns_hold_for_files_made_later(tables: None, sandbox: Sandbox) -> None:
    sandbox.write("deep/down/config", "honest")
    result = shell(
        sandbox,
        "cat deep/down/config; echo KEY=1 >deep/down/.env; mv deep/down/config deep/down/.env; ls -A deep/down",
    )
    assert result.stdout == "honestconfig\n"
    secret = str(sandbox.workspace / "deep/down/.env")
    tried = {entry["operation"] for entry in result.report["denials"] if entry["object"] == secret}
    assert tried == {"create", "rename"}


def test_globs_too(sandbox: Sandbox) -> None:
    """The kernel holds no globs: the supervisor is asked about opens then, beside it."""
    sandbox.write("server.pem", "secret")
    sandbox.write("server.txt", "honest")
    result = shell(sandbox, "cat server.pem; cat server.txt", "--deny", "**/*.pem")
    assert result.stdout == "honest"
    assert [entry["object"] for entry in result.report["denials"]] == [str(sandbox.workspace / "server.pem")]
    assert result.report["unenforced"] == []


def test_a_long_path_is_told_whole(sandbox: Sandbox) -> None:
    folder = "/".join(f"{letter * 20}" for letter in "abcdefgh")
    sandbox.write(f"{folder}/.env", "KEY=1")
    denied(shell(sandbox, f"cat {folder}/.env"), sandbox.workspace / folder / ".env")


# Objects


def test_another_name_of_a_denied_file(tables: None, sandbox: Sandbox) -> None:
    secret = sandbox.write("secret", "PRIVATE")
    os.link(secret, sandbox.workspace / "innocent")
    sandbox.write("neighbour", "honest")
    result = shell(sandbox, "cat innocent; cat secret; cat neighbour", "--deny", str(secret))
    assert result.stdout == "honest"
    denied(result, sandbox.workspace / "innocent")


def test_a_denied_file_replaced_from_outside(sandbox: Sandbox) -> None:
    secret = sandbox.write("secret", "PRIVATE")
    process = sandbox.start(
        "/bin/sh", "-c", "echo ready; read line; cat secret; echo done", options=[*BPF, "--deny", str(secret)],
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == b"ready\n"
    sandbox.write("new", "ALSO PRIVATE")
    (sandbox.workspace / "new").rename(secret)
    out, _ = process.communicate(b"\n", timeout=60)
    assert out == b"done\n"


def test_two_sandboxes_with_different_rules(tables: None, make_sandbox) -> None:
    one, other = make_sandbox("root"), make_sandbox("root")
    shared = one.base / "shared"
    one.write(shared / "file", "text")
    script = f"for i in 1 2 3 4 5 6 7 8 9; do cat {shared}/file >/dev/null && echo yes || echo no; done | sort | uniq -c"
    first = one.start("/bin/sh", "-c", script, options=[*BPF, "--ro", str(shared)])
    second = other.start("/bin/sh", "-c", script, options=[*BPF, "--ro", str(shared), "--deny", str(shared / "file")])
    assert first.communicate(timeout=60)[0].split() == [b"9", b"yes"]
    assert second.communicate(timeout=60)[0].split() == [b"9", b"no"]


def test_code_from_memory_runs_where_written_code_does(sandbox: Sandbox) -> None:
    source = (
        "import os; f = os.memfd_create('code'); os.write(f, open('/bin/true', 'rb').read()); "
        "os.execve(f, ['true'], {})"
    )
    sandbox.run("python3", "-c", source, options=BPF).ok()


# Sockets


@pytest.fixture
def service(root: Sandbox) -> Iterator[Path]:
    """Somebody outside who listens on a unix socket in the workspace."""
    path = root.workspace / "service.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o777)
    listener.listen()

    def serve() -> None:
        try:
            while True:
                peer, _ = listener.accept()
                peer.sendall(b"served")
                peer.close()
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    yield path
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


CONNECT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(9).decode())"


def test_a_service_of_the_host_needs_a_rule(tables: None, root: Sandbox, service: Path) -> None:
    refused = root.run("python3", "-c", CONNECT, str(service), options=BPF)
    assert refused.status == 1 and "PermissionError" in refused.stderr
    denied(refused, service)
    assert root.run("python3", "-c", CONNECT, str(service), options=[*BPF, "--rw", str(service)]).stdout == "served\n"


def test_sockets_of_the_sandbox_itself(root: Sandbox) -> None:
    script = (
        "import socket, os, threading\n"
        "def pair(family, address, any):\n"
        "    l = socket.socket(family); l.bind(any); l.listen()\n"
        "    c = socket.socket(family); c.connect(address or l.getsockname()); p, _ = l.accept()\n"
        "    c.sendall(b'x'); print(p.recv(1).decode(), end='')\n"
        "pair(socket.AF_UNIX, './s', './s')\n"
        "pair(socket.AF_INET, None, ('127.0.0.1', 0))\n"
        "pair(socket.AF_INET, ('127.0.0.1', 4321), ('0.0.0.0', 4321))\n"
        "pair(socket.AF_INET6, None, ('::1', 0))\n"
    )
    assert root.run("python3", "-c", script, options=BPF).ok().stdout == "xxxx"


@pytest.mark.parametrize(("address", "told"), [("192.0.2.7", "192.0.2.7:443"), ("2001:db8::7", "[2001:db8::7]:443")])
def test_attempts_at_the_network_are_told(root: Sandbox, address: str, told: str) -> None:
    script = f"import socket; socket.create_connection(({address!r}, 443), 5)"
    result = root.run("python3", "-c", script, options=BPF)
    assert result.status == 1
    denial = denied(result, told)
    assert denial["operation"] == "connect" and denial["fix"] == "--net host"
    # Looking for a network is not an attack.
    assert result.report["level"] == 5


# The enforcement itself


def test_enforcement_that_vanishes_ends_the_run(root: Sandbox) -> None:
    process = root.start("/bin/sh", "-c", "echo ready; sleep 60", options=BPF)
    assert process.stdout.readline() == b"ready\n"
    [folder] = [entry for entry in PINS.iterdir() if not entry.name.endswith("_new")]
    began = time.monotonic()
    pin, aside = folder / "links/file_open", PINS.parent / "mis-pin-aside"
    pin.rename(aside)
    try:
        _, said = process.communicate(timeout=30)
        assert process.returncode == 123, said
        assert b"file_open" in said
        # Half a second until it is looked at; the rest is this machine's emulation.
        assert time.monotonic() - began < 3
    finally:
        aside.rename(pin)
    assert root.run("/bin/true", options=BPF).ok().report["tier"] == "bpf"


def test_a_killed_supervisor_opens_nothing_and_leaves_nothing(tables: None, root: Sandbox) -> None:
    secret = root.write(".env", "PRIVATE")
    script = f"echo ready; while :; do cat {secret} >>got 2>/dev/null; done"
    process = root.start("/bin/sh", "-c", script, options=BPF)
    assert process.stdout.readline() == b"ready\n"
    keeper, init = guardian(process.pid), sandbox_init(process.pid)
    process.kill()
    process.wait()
    wait_for(lambda: is_gone(init), "the end of the sandbox")
    assert (root.workspace / "got").read_text() == ""
    wait_for(lambda: is_gone(keeper), "the end of the guardian")


def test_kill_at_random_moments(tables: None, root: Sandbox) -> None:
    """Among them: before the registration, between it and the clone, before the places have their rights."""
    for step in range(25):
        process = root.start("/bin/sh", "-c", "sleep 60", options=BPF)
        time.sleep(step * 0.04)
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_programs_that_cannot_be_had(root: Sandbox) -> None:
    """A lower tier is in force, and said; where it is not wanted, nothing runs."""
    stage = PINS.parent / "mis-aside"
    PINS.rename(stage)
    PINS.mkdir(mode=0o777)
    PINS.chmod(0o777)
    try:
        result = root.run("/bin/true").ok()
        assert "tier fanotify" in result.stderr and "was not put there by this program" in result.stderr
        assert result.report["tier"] == "fanotify"
        assert any("tier bpf" in gap for gap in result.report["unenforced"])
        root.run("/bin/true", options=BPF).refused("tier bpf is required", "was not put there by this program")
    finally:
        PINS.rmdir()
        stage.rename(PINS)
    assert root.run("/bin/true", options=BPF).ok().report["tier"] == "bpf"


# The record


def test_what_is_allowed_is_told_on_request(root: Sandbox) -> None:
    profile = root.write(
        root.base / "traced.toml", 'name = "traced"\nextends = ["default"]\n[streams]\ntrace = true\n'
    )
    root.write("file", "text")
    result = root.run("/bin/cat", "file", options=BPF, profile=str(profile)).ok()
    told = [line["object"] for line in result.stream("execution") if line.get("event") == "allow"]
    assert str(root.workspace / "file") in told
    assert result.report["lost_events"] == 0


def test_many_at_once(tables: None, root: Sandbox) -> None:
    script = "cat .env; cat config; for i in 1 2 3 4 5; do /bin/true; done"
    root.write(".env", "PRIVATE")
    root.write("config", "honest")
    running = [root.start("/bin/sh", "-c", script, options=BPF) for _ in range(30)]
    for process in running:
        out, said = process.communicate(timeout=300)
        assert (process.returncode, out) == (0, b"honest"), said


# The threat policy


def test_an_idle_sandbox_hardly_wakes_its_supervisor(root: Sandbox) -> None:
    """Twice a second it looks whether the programs stand, and now and then at the watchdog: hundreds may be idle at once."""
    process = root.start("/bin/sh", "-c", "echo ready; read line", options=BPF, stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"

    def wakes() -> int:
        tasks = Path(f"/proc/{process.pid}/task").glob("*/status")
        return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", task.read_text(), re.M)[1]) for task in tasks)

    time.sleep(2)  # what came with the start is done
    before = wakes()
    time.sleep(5)
    assert 5 <= wakes() - before <= 50
    assert process.communicate(b"\n", timeout=60)[0] == b""


@pytest.fixture
def policy(root: Sandbox) -> Policy:
    return Policy(root)


def test_addresses_and_families_of_the_threat_policy(tables: None, root: Sandbox, policy: Policy) -> None:
    policy.push(1, "address:127.0.0.1/32:4444", "family:AF_NETLINK")
    script = (
        "import socket, errno\n"
        "def tried(make):\n"
        "    try: make(); return 'made'\n"
        "    except OSError as error: return errno.errorcode[error.errno]\n"
        "def to(port): return lambda: socket.create_connection(('127.0.0.1', port), 3)\n"
        "print(tried(to(4444)), tried(to(4445)), tried(lambda: socket.socket(16, 3, 0)), tried(socket.socket))\n"
    )
    result = root.run("python3", "-c", script, options=BPF)
    assert result.stdout == "EPERM ECONNREFUSED EPERM made\n"
    assert {entry["layer"] for entry in result.report["denials"]} == {"hotfix"}
    assert all("whitelist.toml" in entry["fix"] for entry in result.report["denials"])


def test_what_is_open_is_taken_away_where_the_profile_asks(tables: None, root: Sandbox, policy: Policy) -> None:
    serials = iter(range(1, 10))
    policy.push(next(serials), "name:nothing")
    root.write("secret", "PRIVATE")
    script = "exec 3<secret; cat <&3; echo; read line; python3 -c 'import os; os.lseek(3, 0, 0)'; cat <&3; echo end"
    for revoke, seen in (("true", b""), ("false", b"PRIVATE")):
        profile = root.write("../revoking.toml", f'extends = ["default"]\n[policy]\nrevoke = {revoke}\n')
        process = root.start("/bin/sh", "-c", script, options=BPF, profile=str(profile), stdin=subprocess.PIPE)
        assert process.stdout.readline() == b"PRIVATE\n"
        policy.push(next(serials), "name:secret", "name:nothing")
        stream = root.state / "sessions"
        wait_for(lambda: policies(stream) >= 2, "the policy in the running sandbox")
        out, _ = process.communicate(b"\n", timeout=60)
        assert out == seen + b"end\n"
        policy.push(next(serials), "name:nothing")
        shutil.rmtree(stream)


def test_sandboxes_with_one_policy_share_its_place_in_the_kernel(tables: None, root: Sandbox, policy: Policy) -> None:
    """There are eight places. What each supervisor has for itself, the whitelist's secret, makes no difference."""
    for name in ("known", "excused", "free"):
        root.write(name, name)
    (policy.folder / "whitelist.toml").write_text(
        '[[allow]]\nkey = "name:excused"\nreason = "r"\nauthor = "a"\nexpires = "2099-01-01"\n')  # fmt: skip
    policy.push(1, "name:known", "name:excused")
    script = "cat known excused free 2>&-; echo; read line; cat free 2>&-; echo end"
    running = [root.start("/bin/sh", "-c", script, options=BPF, stdin=subprocess.PIPE) for _ in range(12)]
    for process in running:
        assert process.stdout.readline() == b"excusedfree\n"
    policy.push(2, "name:known", "name:excused", "name:free")
    wait_for(lambda: policies(root.state / "sessions") >= 2 * len(running), "the policy in each sandbox", seconds=60)
    for process in running:
        assert process.communicate(b"\n", timeout=60)[0] == b"end\n"


def policies(sessions: Path) -> int:
    """Changes of the policy that the sessions there have recorded."""
    return sum(path.read_text().count('"event":"policy"') for path in sessions.glob("*/execution.jsonl"))
