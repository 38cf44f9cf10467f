"""The threat policy in running sandboxes: what is known to be bad is denied the first time, whatever it is called, and a
new bundle holds at once."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from harness import PATIENCE, Result, Sandbox, wait_for

PROGRAM = """
#define _GNU_SOURCE
#include <stdio.h>
#include <fcntl.h>
#include <unistd.h>
#include <string.h>
#include <sys/syscall.h>
int main(int argc, char **argv) {
    if (argc > 2 && !strcmp(argv[1], "execveat")) {
        int file = open(argv[2], O_PATH);
        char *arguments[] = {"x", 0};
        syscall(SYS_execveat, file, "", arguments, 0, AT_EMPTY_PATH);
        perror("execveat");
        return 126;
    }
    puts("ran");
    return 0;
}
"""
LIBRARY = '#include <stdio.h>\n__attribute__((constructor)) static void loaded(void) { puts("loaded"); }\n'


class Policy:
    """The policy folder of a sandbox's state, and somebody who signs for it."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox
        self.folder = sandbox.state / "policy"
        self.work = sandbox.base / "policy-work"
        self.work.mkdir()
        self("keygen", self.work / "k", "--trust")

    def __call__(self, *arguments: str | Path, status: int = 0) -> str:
        ended = subprocess.run(
            [self.sandbox.mis, "policy", *map(str, arguments)], capture_output=True, text=True, timeout=60,
            env=self.sandbox.environment,
        )  # fmt: skip
        assert ended.returncode == status, f"{arguments}: {ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    def bundle(self, serial: int, *keys: str, kind: str = "hotfix") -> Path:
        path = self.work / f"{kind}-{serial}.mip"
        entries = [{"key": key, "reason": "known bad", "cve": "CVE-2026-1"} for key in keys]
        (self.work / "list.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        self("build", "-o", path, "--kind", kind, "--serial", str(serial), "--key", self.work / "k.key",
             self.work / "list.jsonl")  # fmt: skip
        return path

    def push(self, serial: int, *keys: str, kind: str = "hotfix") -> None:
        self("push", self.bundle(serial, *keys, kind=kind))

    def drop(self, bundle: Path, name: str = "new.mip") -> float:
        """As rsync and its like do: written beside, then renamed. Gives the time of the rename."""
        aside = self.folder / "incoming" / f".{name}"
        shutil.copy(bundle, aside)
        self.sandbox.own(aside)
        moment = time.monotonic()
        aside.rename(self.folder / "incoming" / name)
        return moment


@pytest.fixture
def policy(root: Sandbox) -> Policy:
    return Policy(root)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    for name, text, options in (("bad", PROGRAM, []), ("bad.so", LIBRARY, ["-shared", "-fPIC"])):
        (folder / "p.c").write_text(text)
        subprocess.run(["gcc", "-O1", *options, "-o", folder / name, folder / "p.c"], check=True, timeout=60)
        # A neighbour: the same but for one byte, in the comment that compilers leave.
        bytes = bytearray((folder / name).read_bytes())
        place = bytes.index(b"GCC: (")
        bytes[place] ^= 1
        (folder / name.replace("bad", "good")).write_bytes(bytes)
    return folder


def digest(path: Path) -> str:
    return "digest:" + hashlib.sha256(path.read_bytes()).hexdigest()


def put(sandbox: Sandbox, programs: Path) -> None:
    for name in ("bad", "good", "bad.so", "good.so"):
        sandbox.write(name, (programs / name).read_bytes(), 0o755)


WAYS = {
    "by its name": "./{}",
    "renamed": "cp {0} other-{0} && ./other-{0}",
    "by a hard link": "ln {0} link-{0} && ./link-{0}",
    "by a symlink": "ln -s {0} symlink-{0} && ./symlink-{0}",
    "as an interpreter": "printf '#!%s\\n' $PWD/{0} >script-{0} && chmod +x script-{0} && ./script-{0}",
    "by a descriptor": "exec 7<{0} && exec /proc/self/fd/7",
    "by the loader": "/lib64/ld-linux-x86-64.so.2 $PWD/{0}",
    "changed from good": "cp good changed && ./changed >/dev/null && cat {0} >changed && ./changed",
}


@pytest.mark.parametrize("way", WAYS)
def test_known_bad_content_does_not_run(root: Sandbox, policy: Policy, programs: Path, way: str) -> None:
    policy.push(3, digest(programs / "bad"))
    put(root, programs)
    good = root.shell(WAYS[way].format("good")).ok()
    assert good.stdout == "ran\n"
    for file in root.workspace.glob("*-good"):
        file.unlink()
    bad = root.shell(WAYS[way].format("bad"))
    assert bad.status != 0 and "ran" not in bad.stdout
    denial = bad.report["denials"][0]
    assert denial["layer"] == "hotfix" and "known bad, CVE-2026-1" in denial["rule"]
    assert digest(programs / "bad") in denial["fix"] and str(policy.folder / "whitelist.toml") in denial["fix"]
    assert bad.report["policy"] == {"base": None, "hotfix": "3", "whitelist": None}


def test_known_bad_content_does_not_run_by_execveat(root: Sandbox, policy: Policy, programs: Path) -> None:
    policy.push(3, digest(programs / "bad"))
    put(root, programs)
    assert root.shell("./good execveat good").ok().stdout == "ran\n"
    bad = root.shell("./good execveat bad")
    assert bad.status == 126
    assert ("Permission denied" if root.tier == "bpf" else "Operation not permitted") in bad.stderr
    assert bad.report["denials"][0]["layer"] == "hotfix"


def test_a_known_bad_library_is_not_loaded(root: Sandbox, policy: Policy, programs: Path) -> None:
    policy.push(1, digest(programs / "bad.so"), kind="base")
    put(root, programs)
    assert root.shell("LD_PRELOAD=$PWD/good.so /bin/true").ok().stdout == "loaded\n"
    bad = root.shell("LD_PRELOAD=$PWD/bad.so /bin/true")
    assert "loaded" not in bad.stdout
    assert bad.report["denials"][0]["layer"] == "base"
    assert bad.report["policy"]["base"] == "1"


CHANGER = """
import mmap, os, subprocess, sys, time
good = open("good.so", "rb").read()
bad = CHANGED
file = os.open("lib.so", os.O_RDWR)
memory = mmap.mmap(file, len(good))
os.close(file)
def load():
    subprocess.run(["/bin/true"], env={"LD_PRELOAD": os.path.abspath("lib.so")})
# Dirty from here on: a page that may be written already moves no time when it is written again.
memory[:] = good
time.sleep(0.3)
load()
load()
memory[:] = bad
load()
"""


def test_a_digest_is_not_remembered_of_what_can_change_unseen(root: Sandbox, policy: Policy, programs: Path) -> None:
    policy.push(1, digest(programs / "bad.so"))
    put(root, programs)
    root.write("lib.so", (programs / "good.so").read_bytes(), 0o755)
    # The known-bad bytes under no rule: the changer gets them by flipping the one byte back.
    bad = (programs / "bad.so").read_bytes()
    place = next(at for at, (one, other) in enumerate(zip(bad, (programs / "good.so").read_bytes())) if one != other)
    script = CHANGER.replace("CHANGED", f'good[:{place}] + bytes([{bad[place]}]) + good[{place + 1}:]')
    result = root.run("/usr/bin/python3", "-c", script).ok()
    assert result.stdout == "loaded\nloaded\n"
    assert result.report["denials"][0]["layer"] == "hotfix"


def test_a_large_program_is_looked_at_beside_everything_else(root: Sandbox, policy: Policy, programs: Path) -> None:
    put(root, programs)
    with open(root.workspace / "bad", "ab") as file:
        file.write(bytes(64 << 20))
    with open(root.workspace / "good", "ab") as file:
        file.write(bytes(64 << 20))
    policy.push(1, digest(root.workspace / "bad"))
    result = root.shell("for i in 1 2 3 4 5 6 7 8; do ./bad & done; i=0; while [ $i -lt 200 ]; do cat /etc/hosts; "
                        "i=$((i+1)); done >/dev/null; wait; ./good; ./good")  # fmt: skip
    assert result.ok().stdout == "ran\nran\n"
    assert sum(denial["count"] for denial in result.report["denials"]) == 8


def test_names_paths_and_numbers(root: Sandbox, policy: Policy, programs: Path) -> None:
    put(root, programs)
    number = os.stat(root.write("number", "n"))
    policy.push(
        1, f"path:{root.workspace}/by-path", "name:by-name",
        f"inode:{os.major(number.st_dev)}:{os.minor(number.st_dev)}:{number.st_ino}",
    )  # fmt: skip
    root.write("by-path", "p")
    root.write("folder/by-name", "q")
    root.write("folder/by-path", "allowed")
    result = root.shell(
        "cat by-path; cat folder/by-name; cat number; ln number n2; cat n2; ln -s by-path s; cat s; cat folder/by-path")
    assert result.stdout == "allowed"
    assert {denial["layer"] for denial in result.report["denials"]} == {"hotfix"}
    assert sum(denial["count"] for denial in result.report["denials"]) == 5


def test_operations_are_told_apart(root: Sandbox, policy: Policy) -> None:
    (policy.work / "w.jsonl").write_text('{"key":"name:fixed","operation":"write","reason":"r"}\n')
    policy("build", "-o", policy.work / "w.mip", "--kind", "base", "--key", policy.work / "k.key", policy.work / "w.jsonl")
    policy("push", policy.work / "w.mip")
    root.write("fixed", "text\n")
    result = root.shell("cat fixed; echo more >>fixed; cat fixed")
    assert result.stdout == "text\ntext\n"
    assert result.report["denials"][0]["layer"] == "base"


def test_what_may_not_be_read_is_not_settled_by_running(root: Sandbox, policy: Policy) -> None:
    """Without a policy an execution says that its program may be opened, too. In tier fanotify running a program opens it."""
    (policy.work / "r.jsonl").write_text('{"key":"path:/usr/bin/expr","operation":"read","reason":"r"}\n')
    policy("build", "-o", policy.work / "r.mip", "--kind", "base", "--key", policy.work / "k.key", policy.work / "r.jsonl")
    assert root.shell("expr 1 + 1").ok().stdout == "2\n"
    policy("push", policy.work / "r.mip")
    result = root.shell("/usr/bin/expr 1 + 1; /usr/bin/cat /usr/bin/expr; /usr/bin/seq 1")
    assert result.stdout == ("1\n" if result.report["tier"] == "fanotify" else "2\n1\n")
    assert {denial["layer"] for denial in result.report["denials"]} == {"base"}


def test_the_whitelist_excuses(root: Sandbox, policy: Policy, programs: Path) -> None:
    put(root, programs)
    policy.push(1, digest(programs / "bad"), "name:bad")
    key = digest(programs / "bad")

    def whitelist(*entries: tuple[str, str]) -> None:
        (policy.folder / "whitelist.toml").write_text("".join(
            f'[[allow]]\nkey = "{key}"\nreason = "r"\nauthor = "a"\nexpires = "{expires}"\n' for key, expires in entries
        ))  # fmt: skip

    whitelist((key, "2099-01-01"), ("name:bad", "2099-01-01"))
    result = root.shell("./bad").ok()
    assert result.stdout == "ran\n" and len(result.report["policy"]["whitelist"]) == 16
    # Each entry excuses its own key, and until its day.
    whitelist((key, "2099-01-01"))
    assert root.shell("./bad").status != 0
    whitelist((key, "2099-01-01"), ("name:bad", "2020-01-01"))
    assert root.shell("./bad").status != 0


def strict(sandbox: Sandbox) -> str:
    """A profile under which what cannot be enforced is refused."""
    return str(sandbox.write("../strict.toml", 'extends = ["default"]\n[enforcement]\ngaps = "refuse"\n'))


MEMORY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def memory(name, flip):
    try: number = os.memfd_create(name)
    except OSError as error: sys.exit(print("memfd", error.errno))
    # A file that is known to be bad could not be read: its bytes come from the neighbour that differs in one.
    text = bytearray(open(name, "rb").read())
    text[text.index(b"CC: (") - 1] ^= flip
    os.write(number, text)
    return number
def start(number, path):
    pid = os.fork()
    if not pid:
        try: os.execve(path or number, ["x"], {})
        except OSError as error: os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
flip = int(sys.argv[1] == "bad")
program, library = memory("good", flip), memory("good.so", flip)
print(start(program, None), start(program, f"/proc/self/fd/{program}"), flush=True)
try: ctypes.CDLL(f"/proc/self/fd/{library}")
except OSError as error: print("not loaded")
sys.stdout.flush()
"""


def test_code_in_memory_files(root: Sandbox, policy: Policy, programs: Path) -> None:
    """Tier bpf looks at it; tier fanotify cannot, and says so."""
    put(root, programs)
    before = root.run("/usr/bin/python3", "-c", MEMORY, "good").ok()
    assert before.stdout == "ran\nran\n0 0\nloaded\n"
    policy.push(1, digest(programs / "bad"), digest(programs / "bad.so"))
    good = root.run("/usr/bin/python3", "-c", MEMORY, "good").ok()
    bad = root.run("/usr/bin/python3", "-c", MEMORY, "bad").ok()
    assert good.stdout == before.stdout
    if root.tier == "bpf":
        assert bad.stdout == "13 13\nnot loaded\n"
        assert {denial["layer"] for denial in bad.report["denials"]} == {"hotfix"}
    else:
        assert bad.stdout == before.stdout and "memory files" in " ".join(bad.report["unenforced"])


# Maps a file as code that is neither ELF nor executable, and one that it changed after it had opened it.
MAPPED = """
import mmap, os, sys
def code(number):
    try: mmap.mmap(number, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
    except OSError as error: return error.errno
    return "mapped"
good = bytearray(open("good.bin", "rb").read())
changed = os.open("changed.bin", os.O_RDWR | os.O_CREAT, 0o600)
os.write(changed, good)
if sys.argv[1] == "bad":
    os.pwrite(changed, bytes([good[0] ^ 1]), 0)
print(code(os.open(sys.argv[1] + ".bin", os.O_RDONLY)), code(changed))
"""


def test_code_that_is_no_program(root: Sandbox, policy: Policy) -> None:
    """Tier bpf asks when it is mapped; no permission event tells tier fanotify, which says so."""
    good = root.write("good.bin", b"\x90\xc3" * 4096)
    bad = root.write("bad.bin", b"\x91" + good.read_bytes()[1:])
    policy.push(1, digest(bad))
    found = [root.run("/usr/bin/python3", "-c", MAPPED, name).ok() for name in ("good", "bad")]
    assert found[0].stdout == "mapped mapped\n"
    if root.tier == "bpf":
        assert found[1].stdout.split()[0] == "13"
    else:
        assert found[1].stdout == "mapped mapped\n"
        told = " ".join(found[1].report["unenforced"])
        assert "neither ELF nor executable" in told and "changed since they were opened" in told


# By the keys a policy holds: what tier fanotify says it does not see of them.
GAPS = {
    "digest:" + "ab" * 32: "threat policy, digests",
    "address:tcp/192.0.2.7:443": "threat policy, addresses",
    "write name:fixed": "not when it is made, renamed, linked or removed",
    "write inode:254:0:1": "not when it is made, renamed, linked or removed",
    "path:/srv/fixed": "not when it is made, renamed, linked or removed",
    "execute name:fixed": None,
    "read path:/srv/fixed": None,
    "call:chroot": None,
    "family:AF_ALG": None,
}


@pytest.mark.parametrize("key", GAPS)
def test_what_permission_events_do_not_tell_of_is_a_gap(root: Sandbox, policy: Policy, key: str) -> None:
    """Named in the report, and refused where the profile says so; a policy that asks for none of it runs there."""
    policy("push", policy.bundle(1, key))
    gap = GAPS[key] if root.tier == "fanotify" else None
    result = root.shell("echo ran").ok()
    told = [text for text in result.report["unenforced"] if text.startswith("threat policy")]
    if gap:
        assert len(told) == 1 and gap in told[0]
        root.shell("echo ran", profile=strict(root)).refused("gaps", gap)
    else:
        assert told == []
        assert root.shell("echo ran", profile=strict(root)).ok().stdout == "ran\n"


def test_what_a_profile_revokes_and_a_tier_cannot_is_a_gap(root: Sandbox) -> None:
    revoking = '[policy]\nrevoke = true\n'
    result = root.shell("echo ran", profile=str(root.write("../r.toml", 'extends = ["default"]\n' + revoking))).ok()
    gap = "writing to what is open already, and code that is mapped, goes on"
    both = str(root.write("../b.toml", f'extends = ["default"]\n[enforcement]\ngaps = "refuse"\n{revoking}'))
    if root.tier == "bpf":
        assert gap not in " ".join(result.report["unenforced"])
        root.shell("echo ran", profile=both).ok()
    else:
        assert gap in " ".join(result.report["unenforced"])
        root.shell("echo ran", profile=both).refused("gaps", gap)


def test_a_gap_that_comes_later_is_told_and_the_run_goes_on(root: Sandbox, policy: Policy, programs: Path) -> None:
    """What of the new policy can be enforced holds at once, also where a start would be refused."""
    if root.tier == "bpf":
        return
    profile = root.write("../strict.toml", 'extends = ["default"]\n[enforcement]\ngaps = "refuse"\n[escalation]\nkill = 0\n')
    put(root, programs)
    running = Running(root, "./bad || echo stopped", str(profile))
    running.says("ran")
    policy.drop(policy.bundle(1, digest(programs / "bad"), "address:tcp/192.0.2.7:443", "write name:fixed"))
    running.says("stopped")
    result = running.stop()
    gaps = ("threat policy, digests", "threat policy, addresses", "not when it is made, renamed, linked or removed")
    change = next(event for event in events(result) if event["event"] == "policy")
    for gap in gaps:
        assert gap in " ".join(change["unenforced"]) and gap in " ".join(result.report["unenforced"])
    # The next one would start without them.
    root.shell("echo ran", profile=str(profile)).refused("gaps", *gaps)


def test_what_a_tier_cannot_see_is_said(user: Sandbox, root: Sandbox) -> None:
    # Tier bpf sees all of it.
    unseen = {"landlock": "nothing asks it in tier landlock", "fanotify": "threat policy, digests"}
    for sandbox in (user, root) if root.tier != "bpf" else (user,):
        word = unseen[sandbox.tier]
        policy = Policy(sandbox)
        policy.push(1, "digest:" + "ab" * 32, "call:chroot")
        if sandbox is user:
            for path in [sandbox.state, *sandbox.state.rglob("*")]:
                sandbox.own(path)
        result = sandbox.shell("echo ok").ok()
        assert word in " ".join(result.report["unenforced"])
        # An ordinary user's run has gaps of the plan, which are said first.
        sandbox.shell("echo ok", profile=strict(sandbox)).refused("gaps", *([word] if sandbox is root else []))
        without = sandbox.write("../without.toml", 'extends = ["default"]\n[policy]\nbundles = "none"\n')
        report = sandbox.shell("echo ok", profile=str(without)).ok().report
        assert word not in " ".join(report["unenforced"]) and report["policy"]["hotfix"] is None


def test_a_profile_chooses_its_bundles(root: Sandbox, policy: Policy) -> None:
    policy.push(1, "name:in-base", kind="base")
    policy.push(2, "name:in-hotfix")
    root.write("in-base", "b")
    root.write("in-hotfix", "h")
    for bundles, seen in (("all", ""), ("base", "h"), ("hotfix", "b"), ("none", "bh")):
        profile = root.write("../p.toml", f'extends = ["default"]\n[policy]\nbundles = "{bundles}"\n')
        assert root.shell("cat in-base; cat in-hotfix", profile=str(profile)).stdout == seen


def test_a_policy_that_cannot_be_loaded_lets_nothing_run(root: Sandbox, policy: Policy) -> None:
    policy.push(1, "name:x")
    stored = next((policy.folder / "store").iterdir())
    os.truncate(stored, 4000)
    root.shell("echo ran").refused("loading the threat policy", "cut or added to")
    (policy.folder / "whitelist.toml").write_text("[[allow]]\n")
    policy.push(2, "name:x")
    root.shell("echo ran").refused("key is missing")


def patient(sandbox: Sandbox) -> str:
    """A profile under which a run outlives its many denials."""
    return str(sandbox.write("../patient.toml", 'extends = ["default"]\n[escalation]\nkill = 0\n'))


def recorded(state: Path, earlier: frozenset[Path] = frozenset()) -> list[dict]:
    """What of the policy the later runs have recorded so far. Of the line that is being written only a part may be there."""
    streams = [session / "execution.jsonl" for session in (state / "sessions").glob("*") if session not in earlier]
    lines = [json.loads(line) for path in streams if path.exists() for line in path.read_bytes().split(b"\n")[:-1]]
    return [line for line in lines if line.get("event", "").startswith("policy")]


class Running:
    """A sandbox that tries something again and again, one line for each try."""

    def __init__(self, sandbox: Sandbox, script: str, profile: str | None = None):
        self.sandbox = sandbox
        self.earlier = frozenset((sandbox.state / "sessions").glob("*"))
        self.process = sandbox.start(
            "/bin/sh", "-c", f"while :; do {script}; sleep 0.002; done 2>&1", profile=profile or patient(sandbox),
            options=["--report", str(sandbox.reports / "r")],
        )  # fmt: skip
        self.output = b""
        os.set_blocking(self.process.stdout.fileno(), False)  # type: ignore[union-attr]

    def says(self, line: str) -> float:
        """Waits for the line among those to come; gives the time it was seen."""
        self.process.stdout.read()  # type: ignore[union-attr]
        self.output = b""

        def look() -> bool:
            self.output += self.process.stdout.read() or b""  # type: ignore[union-attr]
            return line.encode() in self.output.split(b"\n")

        wait_for(look, f"{line!r} of {self.output[-200:]!r}", 20)
        return time.monotonic()

    def recorded(self) -> list[dict]:
        return recorded(self.sandbox.state, self.earlier)

    def has(self, *hotfixes: str) -> None:
        """Waits until these came into force, one after the other."""
        wait_for(lambda: [event.get("hotfix") for event in self.recorded()] == [*hotfixes], f"hotfixes {hotfixes}", 20)

    def stop(self) -> Result:
        self.process.terminate()
        os.set_blocking(self.process.stdout.fileno(), True)  # type: ignore[union-attr]
        self.process.stdout.read()  # type: ignore[union-attr]
        self.process.wait(30 * PATIENCE)
        return Result(0, b"", b"", 0, self.sandbox.reports / "r", self.sandbox.state)


def events(result: Result) -> list[dict]:
    return [line for line in result.stream("execution") if line.get("event", "").startswith("policy")]


def test_a_hotfix_holds_in_a_running_sandbox(root: Sandbox, policy: Policy, programs: Path) -> None:
    put(root, programs)
    running = Running(root, "./bad || echo stopped; ./good || echo stopped good")
    running.says("ran")
    policy.drop(policy.bundle(1, digest(programs / "bad")))
    running.says("stopped")
    # The program was allowed a thousand times before; every mark of that is void now.
    time.sleep(0.2)
    running.says("ran")
    policy("push", policy.bundle(2, "name:nothing"))
    running.has("1", "2")
    running.says("ran")
    policy("rollback", "hotfix")
    running.has("1", "2", "1")
    running.says("stopped")
    result = running.stop()
    assert [event["hotfix"] for event in events(result)] == ["1", "2", "1"]
    assert "stopped good" not in running.output.decode()


def test_a_policy_comes_where_there_was_none(root: Sandbox, programs: Path) -> None:
    put(root, programs)
    running = Running(root, "./bad || echo stopped")
    running.says("ran")
    assert not (root.state / "policy").exists()
    policy = Policy(root)
    policy.drop(policy.bundle(1, digest(programs / "bad")))
    running.says("stopped")
    running.stop()


def test_bundles_may_be_swapped_as_configmaps_are(root: Sandbox, policy: Policy, programs: Path) -> None:
    put(root, programs)
    incoming = policy.folder / "incoming"
    for number in (1, 2):
        (incoming / f"..{number}").mkdir()
    shutil.copy(policy.bundle(1, "name:other"), incoming / "..1/hotfix.mip")
    shutil.copy(policy.bundle(2, digest(programs / "bad")), incoming / "..2/hotfix.mip")
    (incoming / "..data").symlink_to("..1")
    (incoming / "hotfix.mip").symlink_to("..data/hotfix.mip")
    running = Running(root, "./bad || echo stopped")
    running.says("ran")
    (incoming / "..data_tmp").symlink_to("..2")
    (incoming / "..data_tmp").rename(incoming / "..data")
    running.says("stopped")
    assert running.stop().report["policy"]["hotfix"] == "2"


def test_bad_bundles_change_nothing_and_are_told(root: Sandbox, policy: Policy, programs: Path) -> None:
    put(root, programs)
    good = policy.bundle(5, digest(programs / "bad"))
    policy("push", good)
    running = Running(root, "./bad || echo stopped; ./good")
    running.says("stopped")
    bytes = policy.bundle(6, "name:x").read_bytes()
    policy("keygen", policy.work / "stranger")
    policy("sign", "--key", policy.work / "stranger.key", "-o", policy.work / "strange.mip", policy.work / "hotfix-6.mip")
    bad = {
        "cut.mip": bytes[:-1], "damaged.mip": bytes[:9000] + b"x" + bytes[9001:], "empty.mip": b"",
        "head.mip": bytes[:100] + b"x" + bytes[101:], "strange.mip": (policy.work / "strange.mip").read_bytes(),
        "old.mip": policy.bundle(4, "name:x").read_bytes(), "text.mip": b"not a bundle" * 100,
    }  # fmt: skip
    for name, text in bad.items():
        (policy.work / name).write_bytes(text)
        policy.drop(policy.work / name, name)
    os.mkfifo(policy.folder / "incoming/pipe.mip")
    wait_for(lambda: len(json.loads(policy("status", "--json"))["refused"]) >= len(bad), "all are refused")
    running.says("stopped")
    running.says("ran")
    result = running.stop()
    assert result.report["policy"]["hotfix"] == "5"
    told = {event["object"]: event["reason"] for event in events(result) if event["event"] == "policy-refused"}
    assert set(bad) <= set(told)
    assert "not newer than 5" in told["old.mip"] and "trusted keys" in told["strange.mip"]


def test_nothing_is_refused_or_let_through_wrongly_during_a_swap(root: Sandbox, policy: Policy, programs: Path) -> None:
    put(root, programs)
    always = [digest(programs / "bad")]
    policy.push(1, *always)
    script = "n=0; while [ $n -lt 1500 ] || [ ! -e stop ]; do ./good || echo wrongly refused; ./bad 2>&-; n=$((n + 1)); done"
    process = root.start("/bin/sh", "-c", script, options=["--report", str(root.reports / "r")], profile=patient(root))
    assert process.stdout.readline() == b"ran\n"
    for serial in range(2, 22):
        policy.push(serial, *always, f"name:other-{serial}")
    wait_for(lambda: [event.get("hotfix") for event in recorded(root.state)][-1:] == ["21"], "the last policy in force")
    root.write("stop", "")
    out = process.communicate(timeout=120 * PATIENCE)[0].decode().splitlines()
    assert out == ["ran"] * len(out) and len(out) >= 1499, "the first was read above"
    report = json.loads((root.reports / "r").read_text())
    assert report["policy"]["hotfix"] == "21"


def test_every_sandbox_gets_it(root: Sandbox, policy: Policy, programs: Path) -> None:
    put(root, programs)
    command = root.command("/bin/sh", "-c", "./bad >/dev/null 2>&1 || exit 4; echo up; while ./bad >/dev/null 2>&1; "
                           "do sleep 0.01; done; exit 3")  # fmt: skip
    processes = [
        subprocess.Popen(command, cwd=root.workspace, env=root.environment, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
        for _ in range(8)
    ]  # fmt: skip
    root.started += processes
    for process in processes:
        assert process.stdout.readline() == b"up\n"
    policy.drop(policy.bundle(1, digest(programs / "bad")))
    assert [process.wait(30 * PATIENCE) for process in processes] == [3] * 8
    # One of them took it; the folder's history says so once.
    lines = (policy.folder / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["accepted"]


