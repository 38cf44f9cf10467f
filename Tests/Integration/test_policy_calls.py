"""System calls, socket families and ioctls that the threat policy denies: in every tier, from a run's start on."""

import os
import signal
import time

import pytest
from harness import PATIENCE, Sandbox, children, wait_for
from test_policy import Policy, Running, events

TRY = """
import ctypes, fcntl, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def say(name, do):
    try: do()
    except OSError as error: print(name, error.errno)
    else: print(name, "ok")
def call(number):
    if libc.syscall(number, 0, 0, 0) < 0: raise OSError(ctypes.get_errno(), "")
say("mkdir", lambda: os.mkdir("made"))
say("rmdir", lambda: os.rmdir("made"))
say("yield", lambda: call(24))
say("unix", lambda: socket.socket(socket.AF_UNIX).close())
say("pair", lambda: [end.close() for end in socket.socketpair()])
say("inet", lambda: socket.socket(socket.AF_INET).close())
say("mount", lambda: call(165))
say("flags", lambda: fcntl.ioctl(os.open(".", os.O_RDONLY), 0x80086601, bytes(8)))
say("file", lambda: fcntl.ioctl(os.open(".", os.O_RDONLY), 0x00006602, bytes(8)))
say("count", lambda: fcntl.ioctl(0, 0x541B, bytes(8)))
"""
EPERM, EACCES = "1", "13"


@pytest.fixture(params=["root", "user"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """An ordinary user has a policy folder of his own, and tier landlock."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def policy(sandbox: Sandbox) -> Policy:
    return Policy(sandbox)


def give(policy: Policy) -> None:
    """The folder's files were made by root; the sandbox's user looks at them."""
    for path in [policy.sandbox.state, *policy.sandbox.state.rglob("*")]:
        policy.sandbox.own(path)


def answers(sandbox: Sandbox) -> tuple[dict[str, str], dict]:
    result = sandbox.run("/usr/bin/python3", "-c", TRY).ok()
    return dict(line.split() for line in result.stdout.splitlines()), result.report


def test_denied_calls_fail_and_their_neighbours_work(sandbox: Sandbox, policy: Policy) -> None:
    before, report = answers(sandbox)
    assert (before["mkdir"], before["yield"], before["unix"], before["pair"], before["inet"]) == ("ok",) * 5
    policy.push(1, "call:mkdir", "call:24", "family:AF_UNIX", "ioctl:f", "call:mount")
    give(policy)
    after, report = answers(sandbox)
    refused = {EPERM, EACCES} if sandbox.tier == "bpf" else {EPERM}
    for name in ("mkdir", "yield", "unix", "pair", "flags", "file", "mount"):
        assert after[name] in refused, f"{name}: {after}"
    # The neighbours; what was never made cannot be removed, but may be tried.
    for name in ("inet", "count"):
        assert after[name] == before[name]
    assert after["rmdir"] == "2"
    denials = {denial["operation"]: denial for denial in report["denials"]}
    assert {"mkdir", "sched_yield", "mount"} <= set(denials)
    for operation in ("mkdir", "sched_yield", "mount"):
        denial = denials[operation]
        assert denial["layer"] == "hotfix" and "known bad, CVE-2026-1" in denial["rule"]
        assert 'key = "call:' in denial["fix"] and str(policy.folder / "whitelist.toml") in denial["fix"]
    assert {"socket", "ioctl"} <= set(denials) and denials["socket"]["layer"] == denials["ioctl"]["layer"] == "hotfix"
    assert not [text for text in report["unenforced"] if "threat policy" in text]
    # Nothing of it is left when the policy is gone.
    policy("rollback", "hotfix", status=1)
    policy.push(2, "call:chroot")
    give(policy)
    assert answers(sandbox)[0] == before


def test_the_whitelist_excuses_calls(sandbox: Sandbox, policy: Policy) -> None:
    policy.push(1, "call:mkdir", "call:sched_yield", "family:AF_UNIX", kind="base")
    (policy.folder / "whitelist.toml").write_text("".join(
        f'[[allow]]\nkey = "{key}"\nreason = "r"\nauthor = "a"\nexpires = "{expires}"\n'
        for key, expires in (("call:mkdir", "2099-01-01"), ("call:sched_yield", "2020-01-01"))))  # fmt: skip
    give(policy)
    found, report = answers(sandbox)
    assert (found["mkdir"], found["yield"]) == ("ok", EPERM)
    assert {denial["layer"] for denial in report["denials"] if denial["operation"] != "mount"} == {"base"}


def test_a_key_that_comes_later_is_a_gap_until_the_next_run(sandbox: Sandbox, policy: Policy) -> None:
    policy.push(1, "call:chroot")
    give(policy)
    running = Running(sandbox, "mkdir made && rmdir made && echo made || echo refused")
    running.says("made")
    policy.drop(policy.bundle(2, "call:mkdir", "call:chroot"))
    running.has("1", "2")
    running.says("made")
    result = running.stop()
    told = [event for event in events(result) if event["event"] == "policy"]
    assert [event["hotfix"] for event in told] == ["1", "2"]
    late = "threat policy, call:83: denied from the next run on"
    assert "unenforced" not in told[0] and late in " ".join(told[1]["unenforced"])
    assert late in " ".join(result.report["unenforced"])
    assert sandbox.shell("mkdir made").status != 0


def test_an_exception_that_ends_is_a_gap_until_the_next_run(sandbox: Sandbox, policy: Policy) -> None:
    policy.push(1, "call:mkdir", "call:chroot")
    # Time enough to start.
    ends = time.time() + max(4, 2 * PATIENCE)
    (policy.folder / "whitelist.toml").write_text("".join(
        f'[[allow]]\nkey = "{key}"\nreason = "r"\nauthor = "a"\nexpires = "{expires}"\n'
        for key, expires in (
            ("call:mkdir", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))), ("call:chroot", "2099-01-01"))
    ))  # fmt: skip
    give(policy)
    running = Running(sandbox, "mkdir made && rmdir made && echo made || echo refused")
    running.says("made")
    time.sleep(max(ends - time.time(), 0))
    running.has("1", "1")
    running.says("made")
    result = running.stop()
    late = "threat policy, call:83: denied from the next run on"
    told = [event.get("unenforced", []) for event in events(result) if event["event"] == "policy"]
    assert len(told) == 2 and late not in " ".join(told[0]) and told[1][0].startswith(late)
    assert late in " ".join(result.report["unenforced"])
    assert sandbox.shell("mkdir made").status != 0


def test_a_policy_that_comes_while_the_sandbox_is_made(root: Sandbox) -> None:
    """Its filter is laid down by then: nothing runs without what the policy denies, and the next run has it."""
    policy = Policy(root)
    policy.push(1, "call:mkdir")
    aside = root.base / "policy-aside"
    policy.folder.rename(aside)
    # The launcher is held when it has looked for a policy, at the third process it makes: the one for an id map.
    log = root.reports / "calls"
    hold = ["-o", log, "-e", "trace=clone3", "-e", "inject=clone3:signal=SIGSTOP:when=3"]
    process = root.traced(hold, "/bin/sh", "-c", "mkdir made && echo made")
    wait_for(lambda: log.exists() and "stopped by SIGSTOP" in log.read_text(), "the launcher to stop")
    [mis] = children(process.pid)
    aside.rename(policy.folder)
    os.kill(mis, signal.SIGCONT)
    out, err = process.communicate(timeout=30 * PATIENCE)
    assert (process.returncode, out) == (125, ""), err
    assert "a threat policy that came while the sandbox was made" in err and "start it again" in err, err
    again = root.shell("mkdir made && echo made")
    assert again.status != 0 and "made" not in again.stdout


def test_calls_that_every_sandbox_needs_are_told(sandbox: Sandbox, policy: Policy) -> None:
    for serial, name in enumerate(("sendmsg", "execve"), 1):
        policy.push(serial, f"call:{name}")
        give(policy)
        sandbox.shell("echo ran").refused(f"denies what every sandbox needs to come up and end: {name}", "whitelist")


def test_calls_alone_leave_no_gap(root: Sandbox) -> None:
    policy = Policy(root)
    policy.push(1, "call:mkdir", "family:AF_ALG")
    strict = root.write("../strict.toml", 'extends = ["default"]\n[enforcement]\ngaps = "refuse"\n')
    result = root.shell("echo ran; mkdir made", profile=str(strict))
    if result.status == 125:
        # Other gaps of this machine may be refused; the policy is none of them.
        assert "threat policy" not in result.stderr
    else:
        assert result.stdout == "ran\n" and result.status != 0
