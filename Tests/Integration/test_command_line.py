"""The command line's contract: what each option does to a run, beside the run without it."""

import json
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from harness import Sandbox


# Where mis's options end


def test_double_dash_ends_the_options(user: Sandbox) -> None:
    assert user.run("/bin/echo", "-v", "--help", "--", "-q").ok().stdout == "-v --help -- -q\n"


def test_without_a_double_dash(user: Sandbox) -> None:
    """Options of the command are its own from the command's name on."""
    result = user.run(options=["-q", "/bin/echo", "-v", "--timeout", "1s"], report=False).ok()
    assert result.stdout == "-v --timeout 1s\n"


@pytest.mark.parametrize("name", ["--help", "-q", "--", "--version", "run", "-"])
def test_a_program_named_like_an_option(user: Sandbox, name: str) -> None:
    user.write(f"bin/{name}", "#!/bin/sh\necho it is me $1\n", 0o755)
    result = user.run(name, "x", env={"PATH": f"{user.workspace}/bin:/usr/bin:/bin"}).ok()
    assert result.stdout == "it is me x\n"


def test_help_and_version(user: Sandbox) -> None:
    for arguments in (["--help"], ["run", "--help"], ["--version"], ["run", "-h"]):
        shown = subprocess.run([user.mis, *arguments], capture_output=True, text=True, timeout=20, env=user.environment)
        assert shown.returncode == 0 and shown.stdout and not shown.stderr, arguments


def test_path_is_searched_inside(user: Sandbox) -> None:
    assert user.run("echo", "x").ok().stdout == "x\n"
    assert user.run("echo", "x", options=["--env", "PATH=/nowhere"]).status == 127


# The plan


def test_dry_run_does_nothing(sandbox: Sandbox) -> None:
    result = sandbox.run("/bin/sh", "-c", "echo ran > made", options=["--dry-run"], report=False).ok()
    assert not (sandbox.workspace / "made").exists()
    assert not list(sandbox.state.iterdir())
    for word in (
        f"tier          {sandbox.tier}",
        "profile       default",
        str(sandbox.workspace),
        "memory 2G",
        "read       /usr",
    ):
        assert word in result.stdout, word


def test_dry_run_as_json(sandbox: Sandbox) -> None:
    result = sandbox.run("/bin/true", options=["--dry-run", "--json", "--limit", "memory=1G"], report=False).ok()
    plan = json.loads(result.stdout)
    assert (plan["tier"], plan["profile"], plan["command"]) == (sandbox.tier, "default", ["/bin/true"])
    assert plan["limits"]["memory"] == 1 << 30
    assert plan["identity"]["host_uid"] != 0 and plan["identity"]["uid"] != 0
    [workspace] = [mount for mount in plan["mounts"] if mount["target"] == str(sandbox.workspace)]
    assert not workspace["read_only"]


def test_dry_run_shows_what_is_skipped(user: Sandbox) -> None:
    assert ".gitconfig" in user.run("true", options=["--dry-run"], report=False).ok().stdout.split("not there")[1]


# What mis says


def test_one_line_of_its_own(sandbox: Sandbox) -> None:
    result = sandbox.shell("echo out; echo err >&2").ok()
    assert result.stdout == "out\n"
    own = [line for line in result.stderr.splitlines() if line.startswith("mis: ")]
    assert len(own) == 1 and f"tier {sandbox.tier}" in own[0] and "profile default" in own[0]


def test_quiet(sandbox: Sandbox) -> None:
    result = sandbox.shell("echo out; echo err >&2", options=["-q"]).ok()
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert sandbox.run("/no/such/command", options=["-q"]).stderr, "a failure is said all the same"


def test_verbose_says_more(user: Sandbox) -> None:
    plain = user.run("/bin/true").ok().stderr
    assert len(user.run("/bin/true", options=["-v"]).ok().stderr) > len(plain)


def test_what_is_not_enforced_is_said(user: Sandbox) -> None:
    result = user.run("/bin/true").ok()
    assert "not enforced" in result.stderr and "**/.env" in result.stderr
    assert any("**/.env" in text for text in result.report["unenforced"])


def test_job_refuses_a_gap(user: Sandbox) -> None:
    result = user.shell("echo ran", profile="job")
    result.refused("**/.env")
    assert "ran" not in result.stdout


def test_job_runs_without_a_gap(root: Sandbox) -> None:
    assert root.shell("echo ran", profile="job").ok().stdout == "ran\n"


# Files


def test_ro_rw_and_deny(sandbox: Sandbox) -> None:
    outside = sandbox.base / "outside"
    for name in ("read", "write", "secret"):
        sandbox.write(outside / name / "file", f"{name}\n")
    script = f"cd {outside}; cat read/file write/file; echo x > read/new; echo y > write/new; ls"
    without = sandbox.shell(script)
    assert "read\n" not in without.stdout and not (outside / "write/new").exists()
    options = ["--ro", str(outside / "read"), "--rw", str(outside / "write")]
    result = sandbox.shell(script, options=options)
    assert "read\nwrite\n" in result.stdout and "secret" not in result.stdout
    assert not (outside / "read/new").exists()
    assert (outside / "write/new").read_text() == "y\n"
    assert (outside / "write/new").stat().st_uid == sandbox.owner

    below = ["--ro", str(outside), "--deny", str(outside / "secret")]
    denied = sandbox.shell(f"cat {outside}/read/file; cat {outside}/secret/file; ls {outside}/secret", options=below)
    assert denied.stdout == "read\n"
    assert sandbox.shell(f"cat {outside}/secret/file", options=["--ro", str(outside)]).stdout == "secret\n"


def test_deny_in_the_workspace(sandbox: Sandbox) -> None:
    for name in ("secret", "folder/secret", "plain"):
        sandbox.write(name, f"{name}\n")
    script = "cat secret; cat folder/secret; ls folder; cat plain; echo x > secret; mv plain moved; echo end"
    result = sandbox.shell(script, options=["--deny", "secret", "--deny", "folder"])
    assert result.stdout == "plain\nend\n"
    assert (sandbox.workspace / "secret").read_text() == "secret\n"
    assert (sandbox.workspace / "moved").read_text() == "plain\n"


@pytest.mark.parametrize("launcher", ["root", "sudo"])
def test_deny_by_name_pattern(make_sandbox, launcher: str) -> None:
    sandbox = make_sandbox(launcher)
    sandbox.write("deep/down/x.key", "KEY")
    sandbox.write("deep/down/x.txt", "TEXT")
    script = "cat deep/down/x.key; cat deep/down/x.txt; echo new > later.key; cat later.key"
    assert sandbox.shell(script, options=["--deny", "**/*.key"]).stdout == "TEXT"
    assert sandbox.shell(script).stdout == "KEYTEXTnew\n"


def test_pattern_without_root_is_a_gap(user: Sandbox) -> None:
    result = user.run("/bin/true", options=["--deny", "**/*.key"]).ok()
    assert any("*.key" in text for text in result.report["unenforced"])


def test_bind(sandbox: Sandbox) -> None:
    source = sandbox.base / "source"
    sandbox.write(source / "file", "content\n")
    script = "cat /mnt/here/file; echo x > /mnt/here/new && echo written"
    assert sandbox.shell(script, options=["--bind", f"{source}:/mnt/here"]).stdout == "content\nwritten\n"
    assert (source / "new").stat().st_uid == sandbox.owner
    (source / "new").unlink()
    assert sandbox.shell(script, options=["--bind", f"{source}:/mnt/here:ro"]).stdout == "content\n"
    assert not (source / "new").exists()


def test_what_the_agent_makes_belongs_to_the_workspaces_owner(sandbox: Sandbox) -> None:
    sandbox.shell("mkdir d; echo x > d/f; ln -s f d/l; mkfifo d/p; id -u").ok()
    for path in (sandbox.workspace / "d").iterdir():
        assert path.lstat().st_uid == sandbox.owner, path
        assert path.lstat().st_gid == sandbox.owner, path


def test_never_root_inside_or_outside(sandbox: Sandbox) -> None:
    result = sandbox.shell("id -u; cat /proc/self/uid_map; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status").ok()
    assert result.stdout.splitlines()[0] != "0"
    assert re.findall(r"Cap\w+:\s*(\w+)", result.stdout) == ["0" * 16] * 5
    assert re.search(r"NoNewPrivs:\s*1", result.stdout) and re.search(r"Seccomp:\s*2", result.stdout)


# The environment and the folder


def test_environment_is_filtered(sandbox: Sandbox) -> None:
    outside = {
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "LD_PRELOAD": "/no/lib.so",
        "LC_ALL": "C",
        "RANDOM_THING": "1",
        "MINE": "me",
    }
    result = sandbox.run(
        "/usr/bin/env", env=outside, options=["--env", "MINE", "--env", "SET=to=this", "--env", "ABSENT"]
    )
    inside = dict(line.split("=", 1) for line in result.ok().stdout.splitlines())
    assert not {"AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "RANDOM_THING", "ABSENT", "MIS_STATE_DIR", "SUDO_UID"} & set(
        inside
    )
    assert (inside["LC_ALL"], inside["MINE"], inside["SET"]) == ("C", "me", "to=this")
    assert inside["HOME"] and inside["PATH"] and inside["TERM"] == "xterm"


def test_home_is_private(sandbox: Sandbox) -> None:
    sandbox.write(sandbox.home / "diary", "private")
    script = 'echo "$HOME"; test -w ~ && echo writable; ls -A ~; echo x > ~/scratch && echo scratched'
    result = sandbox.shell(script).ok()
    assert result.stdout.splitlines()[:2] == [str(sandbox.home), "writable"]
    assert "diary" not in result.stdout and "scratched" in result.stdout
    assert not (sandbox.home / "scratch").exists()


def test_the_working_folder(sandbox: Sandbox) -> None:
    below = sandbox.workspace / "a/b"
    sandbox.write("a/b/file", "")
    assert sandbox.shell("pwd").ok().stdout == f"{sandbox.workspace}\n"
    assert sandbox.shell("pwd", cwd=below, options=["-w", str(sandbox.workspace)]).ok().stdout == f"{below}\n"
    # Not visible inside: the workspace instead.
    assert (
        sandbox.shell("pwd", cwd=Path("/var"), options=["-w", str(sandbox.workspace)]).ok().stdout
        == f"{sandbox.workspace}\n"
    )
    assert (
        sandbox.shell("pwd", cwd=Path("/usr/lib"), options=["-w", str(sandbox.workspace)]).ok().stdout == "/usr/lib\n"
    )


# Network and limits

CONNECT = "import socket; s = socket.create_connection(('127.0.0.1', {port}), 2); print(s.recv(5).decode())"


def test_network(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            try:
                connection, _ = server.accept()
                with connection:
                    connection.send(b"hello")
            except OSError:
                return

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert sandbox.run("/usr/bin/python3", "-c", CONNECT.format(port=port)).status == 1
        assert (
            sandbox.run("/usr/bin/python3", "-c", CONNECT.format(port=port), options=["--net", "host"]).ok().stdout
            == "hello\n"
        )
        thread.join(5)


def test_loopback_of_its_own(sandbox: Sandbox) -> None:
    script = (
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname())\n"
        "server.accept()[0].send(b'own'); print(client.recv(3))"
    )
    assert sandbox.run("/usr/bin/python3", "-c", script).ok().stdout == "b'own'\n"


def test_limits_of_files_and_sizes(user: Sandbox) -> None:
    options = ["--limit", "files=64", "--limit", "file-size=1M", "--limit", "tmp-size=2M"]
    script = (
        "ulimit -n; head -c 2000000 /dev/zero > big; stat -c %s big; "
        "for i in 1 2 3 4; do head -c 1000000 /dev/zero > /tmp/$i; done; du -sb --apparent-size /tmp | cut -f1"
    )
    limited = user.shell(script, options=options).stdout.split()
    assert limited[:2] == ["64", str(1 << 20)]
    assert int(limited[2]) < 3_000_000
    free = user.shell(script).stdout.split()
    assert free[:2] == ["4096", "2000000"] and int(free[2]) > 4_000_000


def test_the_smallest_limit_of_open_files(sandbox: Sandbox) -> None:
    """What sets the sandbox up opens more than the agent may, and does so before the limit holds."""
    script = (
        "import errno, os\nlast = -1\ntry:\n  while True: last = os.open('/dev/null', os.O_RDONLY)\n"
        "except OSError as error: print(errno.errorcode[error.errno], last)"
    )
    done = sandbox.run("/usr/bin/python3", "-c", script, options=["--limit", "files=16"])
    assert done.ok().stdout == "EMFILE 15\n"


@pytest.mark.parametrize("launcher", ["root", "sudo"])
def test_limit_of_processes(make_sandbox, launcher: str) -> None:
    sandbox = make_sandbox(launcher)
    script = (
        "import os, time\nmade = 0\n"
        "try:\n  for _ in range(100):\n    if not os.fork(): time.sleep(5); os._exit(0)\n    made += 1\n"
        "except BlockingIOError: pass\nprint(made)"
    )
    assert int(sandbox.run("/usr/bin/python3", "-c", script, options=["--limit", "pids=20"]).ok().stdout) < 20
    assert int(sandbox.run("/usr/bin/python3", "-c", script).ok().stdout) == 100


@pytest.mark.parametrize("launcher", ["root"])
def test_limit_of_the_processor(make_sandbox, launcher: str) -> None:
    sandbox = make_sandbox(launcher)
    script = "import time; end = time.monotonic() + 1.5\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    assert float(sandbox.run("/usr/bin/python3", "-c", script, options=["--limit", "cpu=20%"]).ok().stdout) < 0.6


def test_require(sandbox: Sandbox) -> None:
    assert sandbox.run("/bin/true", options=["--require", "landlock"]).status == 0
    below = sandbox.run("/bin/true", options=["--require", "fanotify"])
    assert below.status == (125 if sandbox.launcher == "user" else 0)
    if sandbox.launcher == "user":
        assert "root" in below.stderr


def test_profiles_are_never_looked_up_in_the_workspace(user: Sandbox) -> None:
    user.write("sneaky.toml", 'name = "sneaky"\nextends = ["default"]\n')
    user.run("/bin/true", profile="sneaky").refused("sneaky")
    user.write(user.home / ".config/mis/profiles/mine.toml", 'name = "mine"\nextends = ["default"]\n')
    assert user.run("/bin/true", profile="mine").report["profile"] == "mine"


def test_a_profile_with_mistakes(user: Sandbox) -> None:
    text = 'name = "bad"\nextends = ["default"]\n'
    text += '[limits]\nmemroy = "2G"\npids = "many"\n[filesystem]\nread = ["relative"]\n'
    profile = user.write(user.base / "bad.toml", text)
    result = user.run("/bin/true", profile=str(profile))
    result.refused("bad.toml:4", "memroy", "bad.toml:5", "bad.toml:7", "relative")
