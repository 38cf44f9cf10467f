"""The record of a run: complete, chained, masked, and never in the way of enforcement."""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Result, Sandbox, mount, unmount, wait_for
from session_verifier import STREAMS, problems


def recorded(sandbox: Sandbox, script: str = "exit 3", **rest) -> Result:
    return sandbox.shell(script, **rest)


def test_the_folder_of_a_session(sandbox: Sandbox) -> None:
    result = recorded(sandbox)
    assert {path.name for path in result.session.iterdir()} == {"manifest.json", *(f"{name}.jsonl" for name in STREAMS)}
    manifest = json.loads((result.session / "manifest.json").read_text())
    assert manifest["command"] == ["/bin/sh", "-c", "exit 3"]
    assert (manifest["profile"], manifest["tier"], manifest["state"]) == ("default", sandbox.tier, "ended")
    assert manifest["started"] <= manifest["ended"]
    end = result.stream("outcome")[-1]
    assert (end["event"], end["reason"], end["code"], end["signal"]) == ("end", "exited", 3, None)
    assert problems(result.session) == []
    assert result.report["lost_events"] == 0


def test_nobody_else_can_read_or_change_it(sandbox: Sandbox) -> None:
    session = recorded(sandbox).session
    owner = os.stat(session).st_uid
    assert owner == (sandbox.owner if sandbox.launcher == "user" else 0)
    for path in (session, *session.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_agent_does_not_see_the_record(sandbox: Sandbox) -> None:
    result = sandbox.shell(f"ls -R {sandbox.state} /proc/self/fd; ls {sandbox.workspace} && echo visible")
    assert "jsonl" not in result.stdout
    assert "visible" in result.stdout


def test_every_change_shows(user: Sandbox) -> None:
    """The verifier itself: it would be worth nothing if it found every session intact."""
    result = recorded(user, 'for i in 1 2 3 4; do echo "thought $i" >&$MIS_REASONING_FD; done')
    session = result.session
    assert problems(session) == []
    stream = session / "reasoning.jsonl"
    whole = stream.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 4
    for changed in (
        whole.replace(b"thought 2", b"thought 7"), b"".join(lines[:-1]), whole[:-5], whole + lines[-1],
        b"".join([lines[0], *lines[2:]]), b"".join([lines[0], lines[2], lines[1], lines[3]]),
        whole.replace(b"thought 4", b"thought 9"),
    ):  # fmt: skip
        stream.write_bytes(changed)
        assert problems(session), changed
    stream.write_bytes(whole)
    manifest = session / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"exit 3"', b'"exit 4"').replace(b"thought", b"brought"))
    other = recorded(user).session
    shutil.copy(other / "manifest.json", manifest)
    assert problems(session)


def test_reasoning_is_recorded(sandbox: Sandbox) -> None:
    script = (
        'echo "first I look" >&$MIS_REASONING_FD; printf "then\\nI write" >&$MIS_REASONING_FD; '
        "python3 -c \"import os; os.write(int(os.environ['MIS_REASONING_FD']), bytes(range(256)))\""
    )
    result = recorded(sandbox, script).ok()
    lines = result.stream("reasoning")
    assert [line["text"] for line in lines[:2]] == ["first I look", "then"]
    assert lines[2]["text"].startswith("I write") if isinstance(lines[2]["text"], str) else True
    assert problems(result.session) == []


def test_reasoning_without_end_is_bounded(user: Sandbox) -> None:
    result = recorded(user, "head -c 3000000 /dev/zero | tr '\\0' x >&$MIS_REASONING_FD").ok()
    lines = result.stream("reasoning")
    # A flood may be too much for the recorder; then what is missing has been counted.
    missing = 3_000_000 - sum(len(line["text"]) for line in lines)
    assert 0 <= missing <= result.report["lost_events"] * (32 << 10)
    assert max(len(line["text"]) for line in lines) <= 1 << 16
    assert problems(result.session) == []


def test_no_reasoning_for_a_profile_without(root: Sandbox) -> None:
    profile = root.write(
        root.base / "quiet.toml", 'name = "quiet"\nextends = ["default"]\n[streams]\nreasoning = false\n'
    )
    assert root.shell("echo ${MIS_REASONING_FD-none}", profile=str(profile)).ok().stdout == "none\n"
    assert root.shell("echo ${MIS_REASONING_FD-none}").ok().stdout.strip().isdigit()


@pytest.mark.parametrize("launcher", ["root", "sudo"])
def test_denials_are_in_record_and_report(make_sandbox, launcher: str) -> None:
    sandbox = make_sandbox(launcher)
    sandbox.write(".env", "KEY=hidden")
    sandbox.write("config", "honest")
    result = sandbox.shell("cat .env; cat config; exit 0").ok()
    assert result.stdout == "honest"
    assert "Operation not permitted" in result.stderr or "Permission denied" in result.stderr
    secret = str(sandbox.workspace / ".env")
    [denial] = [entry for entry in result.report["denials"] if entry["object"] == secret]
    assert set(denial) >= {"time", "operation", "object", "rule", "layer", "fix", "count"}
    assert "**/.env" in denial["rule"] and denial["fix"] and denial["layer"] == sandbox.tier
    assert result.report["verdicts"]["deny"] >= 1
    [event] = [line for line in result.stream("execution") if line.get("object") == secret]
    assert event["operation"] == denial["operation"]
    assert secret in result.stderr, "the first few are said at the end"
    assert not [entry for entry in result.report["denials"] if "config" in entry["object"]]
    assert problems(result.session) == []


@pytest.mark.parametrize("launcher", ["root"])
def test_a_denied_key_of_the_home_folder_is_reported(make_sandbox, launcher: str) -> None:
    sandbox = make_sandbox(launcher)
    key = sandbox.write(sandbox.home / ".ssh/id_rsa", "PRIVATE")
    sandbox.write(sandbox.home / ".ssh/known_hosts", "host key")
    result = sandbox.shell("cat ~/.ssh/id_rsa; cat ~/.ssh/known_hosts")
    assert result.stdout == "host key"
    assert "PRIVATE" not in result.stdout
    assert str(key) in result.stderr


def test_repeated_denials_are_counted(root: Sandbox) -> None:
    root.write(".env", "KEY=hidden")
    result = root.shell("for i in 1 2 3 4 5 6 7 8; do cat .env; done; exit 0").ok()
    [denial] = result.report["denials"]
    assert denial["count"] == result.report["verdicts"]["deny"] == 8


SECRETS = {
    "--api-key=sk-ant-verysecretvalue12345": "verysecret",
    "https://me:hunter2pass@example.com/x": "hunter2pass",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "abcdefghijkl",
    "AKIAIOSFODNN7EXAMPLE": "IOSFODNN7",
    "Authorization: Bearer abc.def.ghi-tokenish": "tokenish",
}


def test_secrets_are_masked_everywhere(sandbox: Sandbox) -> None:
    result = sandbox.run(
        "/bin/echo", "plainword", *SECRETS, "--password", "s3kr1tpass",
        options=["--env", "DB_PASSWORD=dbsecretvalue", "--env", "GREETING=hello"],
    ).ok()  # fmt: skip
    assert "s3kr1tpass" in result.stdout, "the agent gets what it was given"
    kept = (
        "".join(path.read_text() for path in result.session.iterdir() if path.is_file())
        + result.report_file.read_text()
    )
    for secret in (*SECRETS.values(), "s3kr1tpass", "dbsecretvalue"):
        assert secret not in kept, secret
    assert "plainword" in kept and "GREETING=hello" in kept and "DB_PASSWORD=***" in kept


@pytest.fixture
def small_disk(stage: Path) -> Iterator[Path]:
    folder = stage / "small-disk"
    folder.mkdir(exist_ok=True)
    mount("tmpfs", folder, "tmpfs", data="size=256k,mode=700")
    yield folder
    unmount(folder)


def test_a_full_disk_does_not_stop_the_run(small_disk: Path, root: Sandbox) -> None:
    script = (
        "i=0; while [ $i -lt 30 ]; do head -c 30000 /dev/zero | tr '\\0' x; echo; "
        "i=$((i+1)); done >&$MIS_REASONING_FD; cat .env; echo done"
    )
    root.write(".env", "hidden")
    result = root.shell(script, options=["--record", str(small_disk)]).ok()
    assert result.stdout == "done\n", "enforcement goes on without a disk"
    assert result.report["lost_events"] > 0
    assert "No space" in result.stderr or "ENOSPC" in result.stderr
    [session] = small_disk.iterdir()
    kept = [line for line in (session / "reasoning.jsonl").read_bytes().split(b"\n") if line]
    assert len(kept) < 30
    for line in kept:
        json.loads(line)


def test_a_full_disk_ends_the_run_if_the_profile_says_so(small_disk: Path, root: Sandbox) -> None:
    profile = root.write(
        root.base / "strict.toml", 'name = "strict"\nextends = ["default"]\n[streams]\non_failure = "stop"\n'
    )
    script = "while :; do head -c 30000 /dev/zero | tr '\\0' x >&$MIS_REASONING_FD; echo >&$MIS_REASONING_FD; done"
    result = root.shell(script, profile=str(profile), options=["--record", str(small_disk), "--timeout", "20s"])
    assert result.status not in (0, 124)
    assert result.seconds < 15


def test_a_disk_full_from_the_start(small_disk: Path, root: Sandbox) -> None:
    """There is no room for the first byte of the record: nothing runs without one."""
    try:
        with open(small_disk / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1024))
    except OSError:
        pass
    result = root.shell("echo ran", options=["--record", str(small_disk)])
    result.refused(str(small_disk))
    assert "ran" not in result.stdout


def test_a_record_folder_that_is_not_writable(user: Sandbox) -> None:
    closed = user.base / "closed"
    closed.mkdir(mode=0o755)
    result = user.shell("echo ran", options=["--record", str(closed)])
    result.refused(str(closed))
    assert "ran" not in result.stdout
    opened = user.base / "opened"
    opened.mkdir()
    user.own(opened)
    assert user.shell("echo ran", options=["--record", str(opened)]).ok().stdout == "ran\n"
    [session] = opened.iterdir()
    assert problems(session) == []


def test_record_in_a_folder_others_can_write(user: Sandbox) -> None:
    """Somebody else could replace what is put there."""
    shared = user.base / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    user.shell("echo ran", options=["--record", str(shared)]).refused(str(shared))


def test_record_through_a_link_of_somebody_else(root: Sandbox) -> None:
    """The workspace is the agent's: a link it made there must not lead the record elsewhere."""
    elsewhere = root.base / "elsewhere"
    elsewhere.mkdir()
    (root.workspace / "record").symlink_to(elsewhere)
    root.shell("echo ran", options=["--record", str(root.workspace / "record")]).refused("record")
    assert not list(elsewhere.iterdir())


def test_killed_supervisor_leaves_a_readable_record(user: Sandbox) -> None:
    process = user.start("/bin/sh", "-c", 'echo "a thought" >&$MIS_REASONING_FD; echo ready; exec sleep 30')
    assert process.stdout and process.stdout.readline() == b"ready\n"
    [session] = (user.state / "sessions").iterdir()
    stream = session / "reasoning.jsonl"
    wait_for(lambda: stream.exists() and stream.read_bytes().endswith(b"\n"), "the thought on disk")
    process.kill()
    process.wait()
    for name in STREAMS:
        if (session / f"{name}.jsonl").exists():
            for line in (session / f"{name}.jsonl").read_bytes().splitlines():
                json.loads(line)
    assert problems(session), "a run without an end is not intact"
    assert json.loads((session / "manifest.json").read_text())["state"] == "running"
    assert b"a thought" in stream.read_bytes()
