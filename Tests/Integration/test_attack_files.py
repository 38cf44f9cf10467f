"""Classes O and P: what stays behind in the workspace, and secrets."""

import os
import pathlib
import shutil
import subprocess

import pytest
from attacks.case import LAUNCHERS, Case, covers
from attacks.fixtures import world  # noqa: F401
from attacks.suite import attack_tests
from attacks.world import USER, World, bounded
from harness import PATIENCE

CASES = [
    Case(
        "C205",
        "keys, credentials and histories of the home folder (C208)",
        "files",
        layers=("view", "fanotify"),
        expected={"": "ENOENT|EACCES|EPERM"},
    ),
    Case(
        "C207",
        "denied files and folders of the workspace",
        "files",
        layers={"view": "^(?!list)", "fanotify": ""},
        expected={"": "EACCES|EPERM|EROFS|ENOENT"},
    ),
    Case(
        "C207b",
        "a denied name pattern, files made later included",
        "files",
        layers=("fanotify",),
        expected={"": "EACCES|EPERM"},
        launchers=("root", "sudo"),
        options=("--deny", "**/.env"),
    ),
]

test_control, test_inside, test_layer = attack_tests(CASES)


def repository(world: World, name: str) -> pathlib.Path:
    """A workspace that is a git repository with hooks, editor settings, and a folder of its own."""
    repo = world.root / name
    shutil.rmtree(repo, ignore_errors=True)
    repo.mkdir()
    quiet = {"env": {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, "check": True, "timeout": 20 * PATIENCE}
    subprocess.run(["git", "init", "-q", "-b", "main", repo], **quiet)
    subprocess.run(["git", "-C", repo, "config", "user.email", "a@example.org"], **quiet)
    subprocess.run(["git", "-C", repo, "config", "user.name", "attack"], **quiet)
    (repo / ".git/hooks/pre-commit").write_text("#!/bin/sh\nexit 0\n")
    (repo / ".vscode").mkdir()
    (repo / ".vscode/settings.json").write_text("{}")
    (repo / "folder").mkdir()
    shutil.copy2(world.program("files"), repo / "files")
    for path in (repo, *repo.rglob("*")):
        os.lchown(path, USER, USER)
    return repo


def held(repo: pathlib.Path) -> dict[str, bytes]:
    kept = [".git/hooks", ".git/config", ".vscode"]
    return {
        str(path.relative_to(repo)): path.read_bytes()
        for top in kept
        for path in (repo / top, *(repo / top).rglob("*"))
        if path.is_file()
    }


def command_for(world: World, workspace: pathlib.Path, who: str):
    """`mis run` with another workspace, and without what is denied in the usual one."""
    start, environment = world.command(who)
    start[start.index(str(world.ws))] = str(workspace)
    for _ in range(2):
        at = start.index("--deny")
        del start[at : at + 2]
    return start, environment


def shell_in(world: World, workspace: pathlib.Path, who: str, script: str) -> subprocess.CompletedProcess[str]:
    start, environment = command_for(world, workspace, who)
    command = [*start, "--", "sh", "-c", script]
    return subprocess.run(
        command, env=environment, cwd=workspace, capture_output=True, text=True, timeout=30 * PATIENCE
    )


def in_repository(world: World, repo: pathlib.Path, who: str, case: str):
    start, environment = command_for(world, repo, who)
    return bounded(
        [*start, "--", str(repo / "files"), case, f"repo={repo}", f"token={world.token}"],
        environment,
        20,
        None,
        cwd=repo,
    )


@covers("C194", "hooks, configuration, editor settings that exist", ("view", "fanotify"))
@pytest.mark.parametrize("who", ("control", *LAUNCHERS))
def test_protected_that_exist(world: World, who: str):
    repo = repository(world, "repo")
    before = held(repo)
    if who == "control":
        result = world.arena([repo / "files", "C194", f"repo={repo}"])
        # Each step is a success on its own; what a former one moved away cannot be written again.
        moved = {step for step, answer in result.steps.items() if answer == "ENOENT"}
        assert result.done and {step for step, answer in result.steps.items() if answer != "ok"} == moved, str(result)
        assert result.steps["write a hook"] == result.steps["move .git away"] == "ok", str(result)
        return
    result = in_repository(world, repo, who, "C194")
    assert result.done and "ok" not in result.steps.values(), str(result)
    assert set(result.steps.values()) <= {"EROFS", "EACCES", "EPERM", "EBUSY", "EXDEV"}, str(result)
    assert set(result.near.values()) == {"ok"}, str(result)
    assert held(repo) == before


@covers("C195", "protected names that do not exist at the start (C198, C199)", ("launcher",))
@pytest.mark.parametrize("who", ("control", *LAUNCHERS))
def test_protected_that_do_not_exist(world: World, who: str):
    names = [
        ".mcp.json",
        ".envrc",
        ".bashrc",
        ".zshenv",
        ".gitmodules",
        ".husky",
        ".codex",
        ".cursor",
        ".gemini",
        ".idea",
        ".claude/settings.json",
        ".claude/hooks",
        ".claude/commands",
    ]
    repo = repository(world, "repo")
    if who == "control":
        result = world.arena(["sh", "-c", f'"$@"; ls -a {repo}', "control", repo / "files", "C195", f"repo={repo}"])
        assert result.done and ".mcp.json" in result.out.split("done")[1], str(result)
        return
    before = {path.relative_to(repo) for path in repo.rglob("*")}
    result = in_repository(world, repo, who, "C195")
    assert result.done and set(result.near.values()) == {"ok"}, str(result)
    there = [name for name in names if os.path.lexists(repo / name)]
    assert not there, f"{there} after the run\n{result}"
    strangers = (
        {path.relative_to(repo) for path in repo.rglob("*")}
        - before
        - {pathlib.Path("beside"), pathlib.Path(".claude")}
    )
    assert not strangers, f"left in the workspace: {strangers}"


@covers("C194", "git works beside its protected files", ("view",), control="none: honest use")
@pytest.mark.parametrize("who", LAUNCHERS)
def test_git_works(world: World, who: str):
    repo = repository(world, "repo")
    script = (
        "set -e; echo x > file; git add file; git commit -q -m one; git status --porcelain; git log --oneline | wc -l"
    )
    done = shell_in(world, repo, who, script)
    assert done.returncode == 0 and done.stdout.split()[-1] == "1", done
    assert (repo / "file").stat().st_uid == USER


@covers("C196", "a worktree, whose .git is a file", ("view",))
@covers("C197", "a workspace below the repository's root", ("view",))
@pytest.mark.parametrize("kind", ("worktree", "subfolder"))
@pytest.mark.parametrize("who", ("control", *LAUNCHERS))
def test_git_elsewhere(world: World, who: str, kind: str):
    repo = repository(world, "repo")
    shutil.rmtree(world.root / "tree", ignore_errors=True)
    if kind == "worktree":
        git = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "git", "-C", repo]
        quiet = {"env": {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, "check": True, "timeout": 20 * PATIENCE}
        subprocess.run([*git, "commit", "-q", "--no-verify", "--allow-empty", "-m", "x"], **quiet)
        (world.root / "tree").mkdir()
        os.chown(world.root / "tree", USER, USER)
        subprocess.run([*git, "worktree", "add", "-q", world.root / "tree", "-b", "second"], **quiet)
        workspace = world.root / "tree"
    else:
        workspace = repo / "folder"
    script = (
        f"echo evil > {repo}/.git/hooks/post-merge && echo hook-written; "
        f'echo "[core]" >> {repo}/.git/config && echo config-written; echo x > file && echo file-written'
    )
    before = held(repo)
    if who == "control":
        result = world.arena(["sh", "-c", f"cd {workspace}; {script}"])
        assert result.out.split() == ["hook-written", "config-written", "file-written"], str(result)
        return
    done = shell_in(world, workspace, who, script)
    assert done.stdout.split() == ["file-written"], done
    assert held(repo) == before


@covers("C203", "crontab, user units, autostart, authorized_keys", ("view",))
@covers("C198", "shell start-up files of the home folder", ("view",))
@pytest.mark.parametrize("who", ("control", "user", "root", "sudo"))
def test_home_stays_clean(world: World, who: str):
    names = [
        ".ssh/authorized_keys",
        ".config/systemd/user/x.service",
        ".config/autostart/x.desktop",
        ".bashrc",
        ".profile",
        ".zshenv",
        ".config/mis/profiles/default.toml",
    ]
    script = "; ".join(
        f'mkdir -p "$(dirname {world.home}/{name})" && echo evil > {world.home}/{name}' for name in names
    )
    script += "; echo evil > /var/spool/cron/crontabs/attack; echo finished"
    if who == "control":
        result = world.arena(["sh", "-c", f"({script}); cat {world.home}/.bashrc {world.home}/.ssh/authorized_keys"])
        assert result.out.split() == ["finished", "evil", "evil"], str(result)
        return
    result = world.inside(who, ["sh", "-c", script])
    assert "finished" in result.out, str(result)
    there = [name for name in names if os.path.lexists(world.home / name)]
    assert not there, there


@covers("C206", "tokens and loader variables of the launcher's environment (C059)", ("environment",))
@pytest.mark.parametrize("who", ("control", *LAUNCHERS))
def test_environment(world: World, who: str):
    program = [str(world.here(world.program("files"))), "C206", f"token={world.token}"]
    secrets = {
        name: world.token
        for name in (
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "MY_API_KEY",
            "DB_PASSWORD",
            "SSH_AUTH_SOCK",
            "DBUS_SESSION_BUS_ADDRESS",
            "XAUTHORITY",
            "BASH_ENV",
            "PYTHONSTARTUP",
            "GIT_SSH_COMMAND",
            "PROMPT_COMMAND",
            "ENV",
            "KUBECONFIG",
            "LC_SECRET_TOKEN",
            "MIS_ANYTHING",
            "NODE_OPTIONS",
            "PERL5OPT",
        )
    }
    command, environment = (
        world.command(who, "--") if who != "control" else ([], {"PATH": "/usr/bin:/bin", "HOME": "/", "LANG": "C"})
    )
    environment = environment | secrets
    if who == "control":
        environment["LD_DEBUG_OUTPUT"] = world.token
    done = subprocess.run(
        [*command, *program], env=environment, cwd=world.ws, capture_output=True, text=True, timeout=20 * PATIENCE
    )
    assert "done" in done.stdout and "near PATH ok" in done.stdout and "near LANG ok" in done.stdout, done
    assert ("step a variable with a secret ok" in done.stdout) == (who == "control"), done


@covers("C059", "LD_PRELOAD and LD_AUDIT into mis itself", ("launcher", "environment"))
@pytest.mark.parametrize("who", ("control", "user", "root"))
def test_preloading_the_launcher(world: World, who: str):
    source = world.root / "preload.c"
    source.write_text(
        '#include <stdio.h>\n__attribute__((constructor)) static void evil(void) { fputs("PRELOADED\\n", stderr); }\n'
        "unsigned la_version(unsigned version) { return version; }\n"
    )
    library = world.root / "preload.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True, timeout=30 * PATIENCE)
    command, environment = world.command(who) if who != "control" else ([], {"PATH": "/usr/bin:/bin"})
    if who == "user":
        # setpriv itself would load it: an ordinary user's shell does not stand between.
        command = [
            "setpriv",
            f"--reuid={USER}",
            f"--regid={USER}",
            "--clear-groups",
            "/usr/bin/env",
            f"LD_PRELOAD={library}",
            f"LD_AUDIT={library}",
            *command[4:],
        ]
    else:
        environment = environment | {"LD_PRELOAD": str(library), "LD_AUDIT": str(library)}
    done = subprocess.run(
        [*command, *([] if who == "control" else ["--"]), "/bin/true"],
        env=environment,
        cwd=world.ws,
        capture_output=True,
        text=True,
        timeout=20 * PATIENCE,
    )
    assert done.returncode == 0, done
    assert ("PRELOADED" in done.stderr) == (who == "control"), done


@covers("C079", "files made in the workspace belong to whom they should", ("user",), control="none: a property")
@pytest.mark.parametrize("who", LAUNCHERS)
def test_owner(world: World, who: str):
    for name in ("made", "made-folder"):
        path = world.ws / name
        path.is_dir() and path.rmdir() or path.unlink(missing_ok=True)
    result = world.inside(who, ["sh", "-c", "id -u; touch made; mkdir made-folder; stat -c %u made"])
    inside, seen = result.out.split()
    assert inside == seen != "0", str(result)
    for name in ("made", "made-folder"):
        assert (world.ws / name).stat().st_uid == USER, name
        assert (world.ws / name).stat().st_gid == USER, name
