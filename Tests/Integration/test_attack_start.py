"""Class R, and A's and B's launch-time cases: what the launcher itself can be led into."""

import ctypes
import os
import pathlib
import shutil
import subprocess

import pytest
from attacks.case import LAUNCHERS, covers
from attacks.fixtures import world  # noqa: F401
from attacks.world import USER, World, bounded, mis
from harness import PATIENCE


@covers(
    "C232",
    "100,000 arguments, an argument of 200 kB, no arguments at all",
    ("launcher",),
    control="none: honest errors",
)
@pytest.mark.parametrize("who", ("user", "root"))
def test_absurd_arguments(world: World, who: str):
    command, environment = world.command(who)
    run = {
        "env": environment,
        "cwd": world.ws,
        "capture_output": True,
        "text": True,
        "timeout": 30 * PATIENCE,
        "stdin": subprocess.DEVNULL,
    }
    done = subprocess.run([*command, "--", "sh", "-c", "echo $#", *["x"] * 100_000], **run)
    assert (done.returncode, done.stdout.strip()) == (0, "99999"), (done.returncode, done.stderr[-300:])
    # MAX_ARG_STRLEN is 128 kB: the kernel refuses the caller's own execve already.
    with pytest.raises(OSError):
        subprocess.run([*command, "--", "echo", "x" * 200_000], **run)
    done = subprocess.run([*command, "--", "echo", "x" * 130_000], **run)
    assert done.returncode == 0 and len(done.stdout) == 130_001, done.stderr[-300:]
    # Nearly all that execve takes, with an environment beside it: the launcher must not need more for itself.
    for rest in ([], ["--"], ["--", ""]):
        done = subprocess.run([*command, *rest], **run)
        assert done.returncode in (64, 125, 126, 127) and done.stderr, done
    pid = os.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        try:
            # No argv[0] either, which Python does not do.
            none = (ctypes.c_char_p * 1)(None)
            ctypes.CDLL(None).execve(os.fsencode(shutil.which(mis())), none, none)
        finally:
            os._exit(99)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 64, 125), status


@covers("C233", "started by root: the agent is nobody's root", ("user",), control="none: a property")
@pytest.mark.parametrize("who", LAUNCHERS)
def test_root_is_never_mapped(world: World, who: str):
    result = world.inside(
        who, ["sh", "-c", "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map; cat /proc/self/status | grep ^Uid"]
    )
    words = result.out.split()
    assert words[0] == words[2] != "0" and words[1] == words[5] != "0", str(result)
    assert words[4] == words[7] == "1", str(result)
    # On the host: an ordinary id, and that of the user where there is one.
    agent = world.sandbox(who).agent
    ids = [
        line.split()[1:]
        for line in pathlib.Path(f"/proc/{agent}/status").read_text().splitlines()
        if line.startswith(("Uid", "Gid"))
    ]
    assert all(number not in ("0", "65534") for line in ids for number in line), ids
    assert who == "root" or ids == [[str(USER)] * 4] * 2, ids
    assert who != "root" or int(ids[0][0]) > 100_000, ids


@covers("C234", "installed set-uid root", ("launcher",), control="the same file without the bit")
def test_set_uid_launcher(world: World):
    copy = world.root / "bin" / "mis-set-uid"
    shutil.copy2(shutil.which(mis()), copy)
    command, environment = world.command("user")
    command[command.index(mis())] = str(copy)
    try:
        for mode, refused in ((0o755, False), (0o4755, True), (0o2755, True)):
            os.chown(copy, 0, 0)
            copy.chmod(mode)
            result = bounded([*command, "--", "id", "-u"], environment, 20, None, cwd=world.ws)
            assert (result.status == 125) == refused, (oct(mode), str(result))
            assert refused or result.out.strip() == str(USER), str(result)
    finally:
        copy.unlink()


@covers("C010", "a workspace that is /proc, /sys, /dev, /, or a link to one", ("launcher",), control="none: no launch")
@pytest.mark.parametrize("who", ("user", "root"))
@pytest.mark.parametrize("target", ("/proc", "/sys", "/dev", "/", "/etc", "/usr", "/proc/self/cwd/.."))
def test_workspace_of_the_kernel(world: World, who: str, target: str):
    link = world.root / "link-workspace"
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    command, environment = world.command(who)
    for workspace in (target, str(link)):
        start = [workspace if part == str(world.ws) else part for part in command]
        result = bounded([*start, "--", "touch", "/tmp/x"], environment, 20, None, cwd="/")
        assert result.status == 125 and "workspace" in result.err, (workspace, str(result))


@covers(
    "C011",
    "mount targets inside the workspace that a former run made links",
    ("launcher",),
    control="none: the target is a secret",
)
@pytest.mark.parametrize("who", LAUNCHERS)
def test_targets_are_links(world: World, who: str):
    """The denied, protected and shared places of a workspace are links to a folder outside: it stays as it is."""
    outside, ws = world.root / "outside", world.root / "linked"
    for folder in (outside, ws):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        os.chown(folder, USER, USER)
    (outside / "hooks").mkdir()
    (outside / "kept").write_text("as it was")
    (ws / ".git").symlink_to(outside)
    (ws / ".vscode").symlink_to(outside)
    (ws / "secret").symlink_to(outside / "kept")
    (ws / "folder").symlink_to("/etc")
    start, environment = world.command(who, "--deny", f"{ws}/secret", "--ro", f"{ws}/folder")
    start = [str(ws) if part == str(world.ws) else part for part in start]
    result = bounded(
        [
            *start,
            "--",
            "sh",
            "-c",
            f"echo evil > .git/hooks/x; echo evil > .vscode/x; echo evil > {outside}/y; "
            "cat secret; echo evil > folder/mis-attack; echo end",
        ],
        environment,
        20,
        None,
        cwd=ws,
    )
    assert result.status in (0, 125), str(result)
    assert "as it was" not in result.out, str(result)
    assert sorted(path.name for path in outside.rglob("*")) == ["hooks", "kept"], list(outside.rglob("*"))
    assert not os.path.lexists("/etc/mis-attack")
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    assert str(outside) not in mounts and str(ws) not in mounts


@covers(
    "C028",
    "links that wait where mis itself writes in the workspace",
    ("launcher",),
    control="none: mis writes there only here",
)
@pytest.mark.parametrize("who", LAUNCHERS)
def test_links_where_mis_writes(world: World, who: str):
    """Report, record and quarantine: what the agent puts in their way is not followed to what it may not write."""
    target = world.hidden / "precious"
    target.write_text("precious")
    target.chmod(0o644)
    for name in (".mcp.json", ".bashrc", ".envrc"):
        (world.ws / name).unlink(missing_ok=True)
    try:
        result = world.inside(
            who,
            [
                "sh",
                "-c",
                f"ln -s {target} .mcp.json; ln -s {target} .bashrc; mkdir x; ln -s {world.hidden} x/.git; "
                f"mv x/.git .envrc; rmdir x; echo end",
            ],
        )
        assert "end" in result.out, str(result)
        assert target.read_text() == "precious"
        assert not [name for name in (".mcp.json", ".bashrc", ".envrc") if os.path.lexists(world.ws / name)]
    finally:
        target.unlink()


@covers(
    "C226",
    "a profile others can write, or that lies in the workspace",
    ("launcher",),
    control="the same profile, owned and private",
)
def test_profile_of_others(world: World):
    text = 'name = "mine"\nextends = ["default"]\n'
    good, bad, inside = world.root / "good.toml", world.root / "bad.toml", world.ws / "agent.toml"
    for path in (good, bad, inside):
        path.write_text(text)
    bad.chmod(0o666)
    os.chown(inside, USER, USER)
    command, environment = world.command("user")
    at = command.index("-p") + 1
    for path, refused in ((good, False), (bad, True), (inside, True)):
        command[at] = str(path)
        result = bounded([*command, "--", "true"], environment, 20, None, cwd=world.ws)
        assert (result.status == 125) == refused, (path, str(result))


@covers("C147", "mis inside mis", ("seccomp",), control="none: a clean refusal")
@pytest.mark.parametrize("who", LAUNCHERS)
def test_nested(world: World, who: str):
    folder = pathlib.Path(shutil.which(mis())).parent
    result = world.inside(
        who,
        [shutil.which(mis()), "run", "-w", str(world.ws), "--", "cat", str(world.hidden / "secret.txt")],
        "--ro",
        str(folder),
        seconds=30,
    )
    assert result.status in (125, 126), str(result)
    assert world.token not in result.out and result.err, str(result)
