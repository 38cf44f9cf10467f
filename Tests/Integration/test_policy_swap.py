"""A new policy under a running sandbox: what is open is taken away where the profile asks, and nothing is let through or
refused wrongly while one policy takes another's place."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from harness import PATIENCE, Sandbox, wait_for
from test_policy import Policy, digest, put, programs, recorded  # noqa: F401

READER = """
import os, sys
files = [os.open(name, os.O_RDONLY) for name in ("by-name", "folder/by-path", "good", "other")]
for line in sys.stdin:
    said = []
    for file in files:
        try: said.append(str(len(os.pread(file, 1 << 20, 0))))
        except OSError as error: said.append("E%d" % error.errno)
    print(*said, flush=True)
"""


@pytest.fixture
def policy(root: Sandbox) -> Policy:
    return Policy(root)


def changes(sandbox: Sandbox) -> list[dict]:
    return [line for line in recorded(sandbox.state) if line["event"] == "policy"]


@pytest.mark.parametrize("revoke", [True, False])
def test_reads_of_open_files_are_denied_where_the_profile_asks(
    root: Sandbox, policy: Policy, programs: Path, revoke: bool  # noqa: F811
) -> None:
    put(root, programs)
    for name in ("by-name", "folder/by-path", "other"):
        root.write(name, "12345")
    size = str((programs / "good").stat().st_size)
    profile = root.write("../r.toml", f'extends = ["default"]\n[policy]\nrevoke = {str(revoke).lower()}\n[escalation]\nkill = 0\n')
    policy.push(1, "name:nothing")
    process = root.start("/usr/bin/python3", "-c", READER, profile=str(profile), stdin=subprocess.PIPE,
                         options=["--report", str(root.reports / "r")])  # fmt: skip

    def ask() -> list[str]:
        process.stdin.write(b"\n")
        process.stdin.flush()
        return process.stdout.readline().decode().split()

    whole = ["5", "5", size, "5"]
    assert ask() == whole
    policy.push(2, "name:by-name", f"path:{root.workspace}/folder/by-path")
    wait_for(lambda: len(changes(root)) == 2, "the second policy")
    refused = "E13" if root.tier == "bpf" else "E1"
    # The neighbours are read as before.
    for _ in range(2):
        assert ask() == ([refused, refused, size, "5"] if revoke else whole)
    if root.tier != "bpf":
        policy.push(3, digest(programs / "good"))
        wait_for(lambda: len(changes(root)) == 3, "the third policy")
        assert ask() == (["5", "5", refused, "5"] if revoke else whole)
    process.communicate(timeout=30 * PATIENCE)
    report = json.loads((root.reports / "r").read_text())
    layers = {denial["layer"] for denial in report["denials"] if denial["operation"] in ("read", "use", "open")}
    assert layers == ({"hotfix"} if revoke else set())
    assert ("revoke = true" in " ".join(report["unenforced"])) == (revoke and root.tier != "bpf")


OPENER = """
import os, sys, time
print("begun", flush=True)
wrong = opened = refused = 0
while not os.path.exists("stop"):
    opened += 1
    for name in ("good", "other"):
        try: os.close(os.open(name, os.O_RDONLY))
        except OSError as error:
            wrong += 1
            print(name, error, time.monotonic_ns(), file=sys.stderr)
    # Always denied, by whichever of the policies holds.
    try: os.close(os.open("bad-name", os.O_RDONLY)); wrong += 1; print("bad", time.monotonic_ns(), file=sys.stderr)
    except OSError: refused += 1
print(wrong, opened, refused)
"""


def test_nothing_is_wrong_while_policies_are_swapped(root: Sandbox, policy: Policy) -> None:
    """Denied by both of two policies that take turns is denied without a gap; allowed by both is never refused."""
    for name in ("good", "other", "bad-name"):
        root.write(name, "x")
    policy.push(1, "name:bad-name", "name:odd")
    profile = root.write("../p.toml", 'extends = ["default"]\n[escalation]\nkill = 0\n')
    process = root.start("/usr/bin/python3", "-c", OPENER, profile=str(profile), stdin=subprocess.DEVNULL)
    bundles = [policy.bundle(serial, "name:bad-name", f"name:even-{serial}", kind=kind)
               for serial, kind in zip(range(2, 26), ["hotfix", "hotfix", "base"] * 8)]  # fmt: skip
    assert process.stdout.readline() == b"begun\n"
    # First faster than some machines take them up, so that several may come into force as one; then each by itself.
    for number, bundle in enumerate(bundles):
        before = len(changes(root))
        policy.drop(bundle, f"{number}.mip")
        if number < len(bundles) // 2:
            time.sleep(0.05)
        else:
            wait_for(lambda before=before: len(changes(root)) > before, "the next policy in force")
    root.write("stop", "")
    out, err = process.communicate(timeout=60 * PATIENCE)
    wrong, opened, refused = map(int, out.split())
    assert wrong == 0, err.decode()[-2000:]
    assert refused == opened > 100
    # Whoever denied is told by name, also what was told after the next was in force.
    assert "by chance" not in err.decode() and "known bad, CVE-2026-1" in err.decode()
