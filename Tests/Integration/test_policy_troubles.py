"""The threat policy when the machine or the agent makes trouble: bundles half written, a full disk, programs that change while
they are looked at; and what a record tells of a policy that was not there."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from harness import Sandbox, mount, unmount, wait_for
from test_policy import Policy, Running, digest, events, patient, programs, put  # noqa: F401


@pytest.fixture
def policy(root: Sandbox) -> Policy:
    return Policy(root)


def test_a_bundle_may_be_written_in_place(root: Sandbox, policy: Policy, programs: Path) -> None:  # noqa: F811
    """Half of it is neither taken nor refused."""
    put(root, programs)
    running = Running(root, "./bad || echo stopped")
    running.says("ran")
    whole = policy.bundle(1, digest(programs / "bad")).read_bytes()
    with open(policy.folder / "incoming/new.mip", "wb", buffering=0) as file:
        for part in (whole[:600], whole[600:300_000]):
            file.write(part)
            time.sleep(0.3)
            running.says("ran")
        file.write(whole[300_000:])
    running.says("stopped")
    assert [event["event"] for event in events(running.stop())] == ["policy"]


def test_a_full_disk_and_then_room(root: Sandbox, policy: Policy, programs: Path) -> None:  # noqa: F811
    """A good bundle that cannot be kept is told, once, and taken when there is room."""
    put(root, programs)
    store = policy.folder / "store"
    mount("none", store, "tmpfs", data="size=200k")
    try:
        running = Running(root, "./bad || echo stopped")
        running.says("ran")
        policy.drop(policy.bundle(1, digest(programs / "bad")))
        wait_for(running.recorded, "the trouble is told")
        # It is tried again each 5 s.
        time.sleep(6)
        running.says("ran")
        subprocess.run(["mount", "-o", "remount,size=8m", store], check=True, timeout=60)
        running.says("stopped")
        told = events(running.stop())
        assert [event["event"] for event in told] == ["policy-refused", "policy"]
        assert "new.mip" in told[0]["reason"] and "ENOSPC" in told[0]["reason"]
        assert json.loads(policy("status", "--json"))["refused"] == []
    finally:
        unmount(store)


def test_a_recorded_run_tells_what_a_policy_would_change(root: Sandbox, policy: Policy) -> None:
    """Where the profile has all accesses recorded, also of what was allowed."""
    profile = root.write("../t.toml", 'extends = ["default"]\n[streams]\ntrace = true\n')
    root.write("fine", "fine\n")
    result = root.shell("cat fine; echo x >made; cat fine", profile=str(profile)).ok()
    bundle = policy.bundle(1, "read name:fine", "write name:made", "execute name:cat")
    lines = policy("simulate", "--profile", profile, "--policy", bundle, result.session).splitlines()
    folder = root.workspace
    for access in (f"read {folder}/fine", f"write {folder}/made", "execute /usr/bin/cat"):
        assert any(f": {access}: was allowed, would be denied (hotfix: known bad" in line for line in lines), (access, lines)
    # Without the profile's word only refusals are recorded.
    quiet = root.shell("cat fine").ok()
    assert policy("simulate", "--policy", bundle, quiet.session).endswith(", 0 would change\n")


SWAPPER = """
import os, sys, time
begin, go = os.pipe()
pid = os.fork()
if not pid:
    # Forked before the file is opened: a program that its own parent holds open for writing cannot be executed.
    os.read(begin, 1)
    try: os.execv("./program", ["program"])
    except OSError as error: os._exit(error.errno)
begun = time.monotonic()
file = os.open("program", os.O_RDWR)
reading = time.monotonic() - begun
os.write(go, b"x")
time.sleep(float(sys.argv[1]) * reading)
os.pwrite(file, bytes([int(sys.argv[3])]), int(sys.argv[2]))
os.close(file)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_program_that_changes_while_it_is_read_is_not_run(root: Sandbox, policy: Policy, programs: Path) -> None:  # noqa: F811
    """Good when its reading begins, and bad when that ends: what is judged is what would run."""
    put(root, programs)
    for name in ("bad", "good"):
        with open(root.workspace / name, "ab") as file:
            file.write(bytes(48 << 20))
    bad, good = (programs / "bad").read_bytes(), (programs / "good").read_bytes()
    place = next(at for at, (one, other) in enumerate(zip(bad, good)) if one != other)
    policy.push(1, digest(root.workspace / "bad"))
    swap = ["/usr/bin/python3", "-c", f"'{SWAPPER}'"]
    # The kernel asks twice when something is executed. Each time the file is read, as long as a writer has it open: the change
    # comes while that is under way, the first time or the second, counted in readings.
    for moment in ("0.4", "0.8", "1.2", "1.4", "1.6", "1.8"):
        words = " ".join([*swap, moment, str(place), str(bad[place])])
        result = root.shell(f"rm -f program; cp good program; sleep 0.1; {words}", profile=patient(root))
        assert "ran" not in result.stdout, f"changed after {moment} readings, it ran"
    # The neighbour: what holds still runs, though somebody had it open for writing.
    assert root.shell("rm program; cp good program; ./program").ok().stdout == "ran\n"
