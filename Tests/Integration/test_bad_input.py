"""What cannot be done is said in a clear line, with status 125, and nothing is left behind."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from harness import PATH, UID, Sandbox


def refuses(sandbox: Sandbox, options: list[str], *words: str, cwd: Path | None = None) -> str:
    result = sandbox.run("/bin/sh", "-c", "echo ran", options=options, cwd=cwd)
    assert "ran" not in result.stdout, f"it ran with {options}"
    result.refused(*words)
    assert "\x1b" not in result.stderr
    return result.stderr


# Options that make no sense

ABSURD = [
    (["--limit", "memory"], ["--limit", "memory"]),
    (["--limit", "memory=lots"], ["memory", "lots"]),
    (["--limit", "memory=-1G"], ["memory", "-1G"]),
    (["--limit", "memory=99999999999999999999G"], ["memory"]),
    (["--limit", "memory="], ["memory"]),
    (["--limit", "=4G"], ["--limit"]),
    (["--limit", "speed=4"], ["speed"]),
    (["--limit", "pids=0"], ["pids"]),
    (["--limit", "pids=many"], ["pids", "many"]),
    (["--limit", "cpu=fast"], ["cpu", "fast"]),
    (["--limit", "memory=1G", "--limit", "memory-high=2G"], ["memory"]),
    (["--timeout", "soon"], ["--timeout", "soon"]),
    (["--timeout=-5s"], ["--timeout"]),
    (["--timeout", ""], ["--timeout"]),
    (["--net", "some"], ["--net", "some", "none", "host"]),
    (["--require", "magic"], ["--require", "magic", "landlock"]),
    (["--require", "bpf"], ["bpf"]),
    (["-p", "no-such-profile"], ["no-such-profile"]),
    (["-p", "./no-such-file.toml"], ["no-such-file.toml"]),
    (["-p", ""], ["profile"]),
    (["-p", "../../../etc/passwd"], ["passwd"]),
    (["--ro", "/no/such"], ["/no/such"]),
    (["--rw", "/no/such"], ["/no/such"]),
    (["--deny", "/no/such"], ["/no/such"]),
    (["--bind", "nonsense"], ["nonsense", "SRC:DST"]),
    (["--bind", "/no/such:/mnt"], ["/no/such"]),
    (["--bind", "/usr:relative"], ["relative"]),
    (["--bind", "/usr:/mnt:maybe"], ["maybe"]),
    (["--env", "=x"], ["--env"]),
    (["--env", ""], ["--env"]),
    (["-w", "/no/such/folder"], ["/no/such/folder"]),
    (["-w", "/etc/passwd"], ["/etc/passwd"]),
    (["-w", ""], ["workspace"]),
    (["--record", "/proc/nothing"], ["/proc/nothing"]),
    (["--record", "/etc/passwd"], ["/etc/passwd"]),
]  # fmt: skip


@pytest.mark.parametrize("options,words", ABSURD, ids=lambda value: "_".join(value)[:40])
def test_absurd_options(user: Sandbox, options: list[str], words: list[str]) -> None:
    refuses(user, options, *words)


def test_a_report_without_a_name(user: Sandbox) -> None:
    user.shell("echo ran", options=["--report", ""], report=False).refused("report")


def test_all_mistakes_at_once(user: Sandbox) -> None:
    text = refuses(user, ["--limit", "memory=lots", "--net", "some", "--timeout", "soon", "--bind", "nonsense"])
    for word in ("lots", "some", "soon", "nonsense"):
        assert word in text


@pytest.mark.parametrize(
    "arguments", [["--no-such-option", "--", "true"], ["--timeout"], [], ["--"], ["-w"], ["--limit"]]
)
def test_command_lines_that_cannot_be_read(user: Sandbox, arguments: list[str]) -> None:
    process = subprocess.run(
        user.as_caller([user.mis, "run", *arguments]), env=user.environment, cwd=user.workspace, capture_output=True,
        timeout=20,
    )  # fmt: skip
    assert process.returncode == 125
    assert process.stderr and not process.stdout


def test_an_empty_command(user: Sandbox) -> None:
    result = user.run("")
    assert result.status in (125, 127)
    assert "ran" not in result.stdout


def test_no_arguments_at_all(user: Sandbox) -> None:
    """execve with an empty argv: the program has not even a name."""
    script = f"import os; os.execve({user.mis!r}, [], dict(os.environ))"
    try:
        process = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=20, env=user.environment)
    except ValueError:
        return
    assert process.returncode not in (0, -11, -4, -6)


def test_long_and_strange_arguments_arrive(user: Sandbox) -> None:
    """The kernel's limit for one argument is 128 KiB; 2 MB come in many."""
    arguments = ["x" * 130_000] * 15 + ["", " ", "-", "--", "a\nb", "\x1b[31m", "ü", "'", '"', "$(id)", "\\"]
    script = "import sys, hashlib; print(len(sys.argv), hashlib.sha256('|'.join(sys.argv[1:]).encode()).hexdigest())"
    result = user.run("/usr/bin/python3", "-c", script, *arguments).ok()
    bare = subprocess.run(["/usr/bin/python3", "-c", script, *arguments], capture_output=True, text=True)
    assert result.stdout == bare.stdout
    assert result.report["command"][-len(arguments) :][-5:] == arguments[-5:]


def test_an_argument_that_is_not_unicode(user: Sandbox) -> None:
    result = user.run("/usr/bin/printf", "%s", b"\xff\xfe/\x80")
    assert result.ok().out == b"\xff\xfe/\x80"
    assert len(result.report["command"]) == 3


def test_environment_larger_than_usual(user: Sandbox) -> None:
    result = user.run("/bin/sh", "-c", "echo ${#HUGE}", env={"HUGE": "y" * 120_000}, options=["--env", "HUGE"])
    assert result.ok().stdout == "120000\n"


# Workspaces


@pytest.mark.parametrize(
    "folder", ["/", "/home", "/etc", "/proc", "/usr", "/dev", "/sys", "/var", "/usr/lib", "/root", "/boot"]
)
def test_workspaces_that_are_refused(root: Sandbox, folder: str) -> None:
    assert "workspace" in refuses(root, ["-w", folder], folder)


def test_the_home_folder_and_what_holds_it(sandbox: Sandbox) -> None:
    assert "--force-workspace" in refuses(sandbox, ["-w", str(sandbox.home)], "home")
    refuses(sandbox, ["-w", str(sandbox.home.parent)], "home")
    project = sandbox.home / "project"
    project.mkdir()
    sandbox.own(project)
    result = sandbox.shell("pwd; echo x > made", cwd=project).ok()
    assert result.stdout == f"{project}\n"
    assert (project / "made").stat().st_uid == sandbox.owner


def test_force_workspace(user: Sandbox) -> None:
    user.shell("echo x > made", options=["-w", str(user.home), "--force-workspace"]).ok()
    assert (user.home / "made").exists()
    refuses(user, ["-w", "/", "--force-workspace"], "/")
    refuses(user, ["-w", "/proc", "--force-workspace"], "/proc")


def test_a_parent_of_the_profile(user: Sandbox) -> None:
    profile = user.write("mine.toml", 'name = "mine"\nextends = ["default"]\n')
    refuses(user, ["-p", str(profile)], "mine.toml")


def test_a_link_to_a_refused_workspace(user: Sandbox) -> None:
    (user.workspace / "link").symlink_to("/etc")
    refuses(user, ["-w", str(user.workspace / "link")], "/etc")


def test_a_workspace_of_somebody_else(user: Sandbox) -> None:
    closed = user.base / "closed"
    closed.mkdir(mode=0o700)
    refuses(user, ["-w", str(closed)], str(closed), cwd=user.workspace)


def test_a_current_folder_that_was_removed(user: Sandbox) -> None:
    gone = user.workspace / "gone"
    gone.mkdir()
    user.own(gone)
    command = f"rmdir {gone}; exec {user.mis} run -w {user.workspace} -- /bin/sh -c 'pwd'"
    process = subprocess.run(
        user.as_caller(["/bin/sh", "-c", command]), env=user.environment, cwd=gone, capture_output=True, timeout=20
    )
    assert (process.returncode, process.stdout.decode().strip()) in ((0, str(user.workspace)), (125, ""))
    assert b"mis: " in process.stderr


# Machines that lack something


def in_namespaces(sandbox: Sandbox, prepare: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """mis, after the machine was made worse in namespaces of its own."""
    command = f"{prepare} && exec {sandbox.mis} run -- /bin/sh -c 'echo ran'"
    return subprocess.run(
        sandbox.as_caller(["unshare", *flags, "/bin/sh", "-c", command]), env=sandbox.environment,
        cwd=sandbox.workspace, capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def clear_failure(process: subprocess.CompletedProcess[str], *words: str) -> None:
    assert process.returncode == 125, process
    assert "ran" not in process.stdout
    for word in words:
        assert re.search(word, process.stderr), process.stderr


READ_ONLY_CGROUPS = (
    "for tree in $(awk '$9 ~ /^cgroup/ {print $5} $8 ~ /^cgroup/ {print $5}' /proc/self/mountinfo | sort -u); "
    "do mount -o remount,bind,ro $tree || exit 99; done"
)


def test_cgroups_that_cannot_be_written(root: Sandbox) -> None:
    """The limits cannot be set: `default` goes on and says so, `job` refuses."""
    process = in_namespaces(root, READ_ONLY_CGROUPS, "-m", "--propagation", "private")
    assert process.returncode == 0, process
    assert "not enforced" in process.stderr and "memory" in process.stderr
    job = READ_ONLY_CGROUPS + f" && exec {root.mis} run -p job -- /bin/sh -c 'echo ran'"
    process = in_namespaces(root, job, "-m", "--propagation", "private")
    clear_failure(process, "cannot be enforced|not enforced", "memory", "cgroup")
    assert in_namespaces(root, "true", "-m", "--propagation", "private").stdout == "ran\n"


AS_USER = f"setpriv --reuid={UID} --regid={UID} --clear-groups"


def test_proc_that_cannot_be_mounted(user: Sandbox) -> None:
    """Something lies over a part of /proc, as in a container: the kernel then refuses a fresh one."""

    def run(prepare: str) -> subprocess.CompletedProcess[str]:
        command = f"{prepare} && exec {AS_USER} {user.mis} run -- /bin/sh -c 'echo ran'"
        return subprocess.run(
            ["unshare", "-m", "-p", "-f", "--mount-proc", "/bin/sh", "-c", command], env=user.environment,
            cwd=user.workspace, capture_output=True, text=True, timeout=30,
        )  # fmt: skip

    clear_failure(run("mount -t tmpfs none /proc/sys"), "/proc", "EPERM|EBUSY|EACCES", "Likely")
    assert run("true").stdout == "ran\n"


def test_user_namespaces_forbidden(user: Sandbox) -> None:
    """A limit of zero is how administrators switch them off."""

    def run(most: int) -> subprocess.CompletedProcess[str]:
        command = (
            f"echo {most} > /proc/sys/user/max_user_namespaces && "
            f"exec setpriv --inh-caps=-all --ambient-caps=-all {user.mis} run -- /bin/sh -c 'echo ran'"
        )
        flags = ["-U", f"--map-user={UID}", f"--map-group={UID}", "--keep-caps"]
        return subprocess.run(
            user.as_caller(["unshare", *flags, "/bin/sh", "-c", command]), env=user.environment, cwd=user.workspace,
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip

    clear_failure(run(0), "ENOSPC|EPERM|EUSERS", "max_user_namespaces")
    assert run(100).stdout == "ran\n"


def test_root_of_a_user_namespace_only(user: Sandbox) -> None:
    """As in a rootless container: uid 0 in name, none of its rights outside."""
    process = in_namespaces(user, "true", "-U", "-r", "-m", "-p", "-f", "--mount-proc")
    assert (process.returncode, process.stdout) == (0, "ran\n") or process.returncode == 125, process
    assert not process.stderr.startswith("mis: tier fanotify")


@pytest.mark.parametrize("files", [4, 6, 8, 10, 12, 16, 20, 24, 32])
def test_few_descriptors(user: Sandbox, files: int) -> None:
    """It works or it says why: before anything runs, or at the latest when enforcement would suffer."""
    result = user.run(
        "/bin/sh", "-c", "echo ran", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),
        report=False,
    )  # fmt: skip
    assert (result.status, result.stdout) == (0, "ran\n") or result.status in (123, 125)
    if result.status == 125:
        assert "ran" not in result.stdout
    if result.status:
        assert "EMFILE" in result.stderr or "Too many open files" in result.stderr
    assert "disk(" not in result.stderr


def test_no_more_processes(user: Sandbox) -> None:
    result = user.run(
        "/bin/sh", "-c", "echo ran", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1, 1)), report=False
    )
    result.refused("EAGAIN")


def test_little_memory(user: Sandbox) -> None:
    for megabytes in (8, 16, 32, 64):
        size = megabytes << 20
        result = user.run(
            "/bin/sh", "-c", "echo ran", report=False,
            preexec_fn=lambda size=size: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
        )  # fmt: skip
        assert (result.status, result.stdout) == (0, "ran\n") or result.status in (125, 127, 132, 133, 134, 139)
        assert result.status == 0 or "ran" not in result.stdout


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_closed_streams(sandbox: Sandbox, closed: tuple[int, ...]) -> None:
    """What the agent opens next must not become its stdin, and nothing of ours may end up there."""
    script = "echo made > made; ls -l /proc/self/fd 1>&2; readlink /proc/self/fd/[012] > streams"

    def close() -> None:
        for number in closed:
            os.close(number)

    result = sandbox.shell(script, preexec_fn=close, report=False)
    assert result.status == 0, result.stderr
    assert (sandbox.workspace / "made").read_text() == "made\n"
    assert sandbox.state.as_posix() not in (sandbox.workspace / "streams").read_text()


def test_a_machine_without_its_own_proc_entries(user: Sandbox) -> None:
    """An account that /etc/passwd does not know."""
    command = [
        "setpriv",
        "--reuid=54321",
        "--regid=54321",
        "--clear-groups",
        user.mis,
        "run",
        "--",
        "/bin/sh",
        "-c",
        "id -u",
    ]
    other = user.base / "other"
    for folder in (other, other / "work", other / "state"):
        folder.mkdir()
        os.chown(folder, 54321, 54321)
    variables = {"PATH": PATH, "HOME": str(other / "home"), "MIS_STATE_DIR": str(other / "state")}
    process = subprocess.run(command, env=variables, cwd=other / "work", capture_output=True, text=True, timeout=20)
    assert (process.returncode, process.stdout) == (0, "54321\n"), process.stderr


def test_a_state_folder_that_is_relative_or_a_file(user: Sandbox) -> None:
    user.shell("echo ran", env={"MIS_STATE_DIR": "relative"}).refused("MIS_STATE_DIR")
    user.shell("echo ran", env={"MIS_STATE_DIR": "/etc/passwd"}).refused("/etc/passwd")


def test_messages_show_no_control_characters(user: Sandbox) -> None:
    result = user.shell("true", options=["--ro", "/no/\x1b[2Jsuch\nplace"])
    result.refused()
    assert "\x1b" not in result.stderr and "\nplace" not in result.stderr
