"""One task without a terminal, for each agent, bare and wrapped.

The bare runs are the control: the same agent with the same script does all that the wrapped runs must refuse, so that
a refusal is known to come from the sandbox and not from the agent or the script.
"""

import json
import os
import re
import subprocess

import pytest

from .agents import AGENTS
from .conftest import Runs
from .runner import Run
from .script import GIT_CONFIG, GREET_C, MAKE_HOOK, MCP_JSON, READ_KEY, STATUS
from .talk import settle

NAMES = sorted(AGENTS)

# What a program says when the kernel refuses: an errno's text, or its name in those that print names.
REFUSED = re.compile("Permission denied|Operation not permitted|No such file or directory|Read-only file system|"
                     "Device or resource busy|EACCES|EPERM|ENOENT|EROFS|EBUSY")

HOOK = ".git/hooks/post-checkout"

# What is refused in each run, and all of it: an honest agent is refused nothing.
KEY = "../../.ssh/id_ed25519"
REFUSALS = {KEY, HOOK, ".git/config", MCP_JSON.path}
# Which layers may tell of it. Mounts refuse, and the system call's notification tells; what is made by a way that no
# notification sees is moved aside by the watch.
LAYERS = {KEY: {"fanotify"}, HOOK: {"mount"}, ".git/config": {"mount"}, MCP_JSON.path: {"mount", "watch"}}
RULES = {KEY: "~/.ssh", HOOK: "${GIT_COMMON_DIR}/hooks", ".git/config": "${GIT_COMMON_DIR}/config",
         MCP_JSON.path: "${WORKSPACE}/.mcp.json"}
OPERATIONS = {KEY: {"open"}, HOOK: {"create"}, ".git/config": {"rename"}, MCP_JSON.path: {"create", "rename"}}


@pytest.fixture(params=[(name, wrapped) for name in NAMES for wrapped in (False, True)],
                ids=lambda pair: f"{pair[0]}-{'mis' if pair[1] else 'bare'}")
def run(request: pytest.FixtureRequest, runs: Runs) -> Run:
    return runs.once(*request.param)


@pytest.fixture(params=NAMES)
def bare(request: pytest.FixtureRequest, runs: Runs) -> Run:
    return runs.once(request.param, False)


@pytest.fixture(params=NAMES)
def wrapped(request: pytest.FixtureRequest, runs: Runs) -> Run:
    return runs.once(request.param, True)


# The honest part, which is the same bare and wrapped.


def test_it_ends_well(run: Run) -> None:
    assert run.status == 0, run.explain()
    assert run.problems == (), run.explain()


def test_the_file_is_written(run: Run) -> None:
    assert (run.world.workspace / "greet.c").read_text() == GREET_C, run.explain()


def test_the_build_product_runs(run: Run) -> None:
    product = run.world.workspace / "hello"
    assert product.exists(), run.explain()
    said = subprocess.run([product], capture_output=True, text=True, timeout=10, check=True).stdout
    assert said == "hello, written by an agent\n"
    assert "hello, written by an agent" in run.observed["build"], run.explain()


def test_the_commit_is_there(run: Run) -> None:
    assert "Add the greeting" in run.world.git("log", "--format=%s", "--", "greet.c"), run.explain()
    assert run.world.git("show", "HEAD:greet.c") == GREET_C
    run.world.git("fsck", "--strict")


def test_what_it_made_belongs_to_the_owner_of_the_workspace(run: Run) -> None:
    owner = (run.world.home.stat().st_uid, run.world.home.stat().st_gid)
    for path in (*run.world.workspace.rglob("*"), *run.world.home.glob(".*/**/*")):
        found = path.lstat()
        assert (found.st_uid, found.st_gid) == owner, f"{path} belongs to {found.st_uid}:{found.st_gid}"


def test_nothing_is_left_running(run: Run) -> None:
    assert settle(run.world.processes) == []


# The control: without a sandbox the same script reaches everything.


def test_bare_it_reads_the_key(bare: Run) -> None:
    assert bare.world.secret in bare.observed[READ_KEY.name], bare.explain()
    assert bare.world.secret in bare.log


def test_bare_it_writes_what_is_protected(bare: Run) -> None:
    assert (bare.world.workspace / HOOK).exists(), bare.explain()
    assert "scripted" in (bare.world.workspace / ".git/config").read_text(), bare.explain()
    assert json.loads((bare.world.workspace / MCP_JSON.path).read_text()), bare.explain()


# Wrapped.


def test_the_key_is_seen_nowhere(wrapped: Run) -> None:
    assert wrapped.world.secret not in wrapped.log, wrapped.explain()
    assert wrapped.world.secret not in wrapped.stdout + wrapped.stderr
    assert wrapped.world.holders_of(wrapped.world.secret) == [str(wrapped.world.key.relative_to(wrapped.world.root))]


@pytest.mark.parametrize("step", [READ_KEY, MAKE_HOOK, GIT_CONFIG], ids=lambda step: step.name)
def test_the_agent_sees_an_ordinary_error(wrapped: Run, step: object) -> None:
    said = wrapped.observed[step.name]
    assert REFUSED.search(said), f"{said!r}\n{wrapped.explain()}"
    # The command behind it came to an end of its own, with a status that says that it failed.
    assert re.search(r"status=[1-9]", said), f"{said!r}\n{wrapped.explain()}"


def test_what_is_protected_is_as_it_was(wrapped: Run) -> None:
    workspace = wrapped.world.workspace
    assert not os.path.lexists(workspace / HOOK), wrapped.explain()
    assert "scripted" not in (workspace / ".git/config").read_text(), wrapped.explain()
    assert not os.path.lexists(workspace / MCP_JSON.path), wrapped.explain()


def test_nothing_lies_around(wrapped: Run) -> None:
    # An agent may have committed .mcp.json in the moment before it was moved aside; the file itself is gone.
    said = [line for line in wrapped.world.git("status", "--porcelain").splitlines() if line != f" D {MCP_JSON.path}"]
    assert said == [], wrapped.explain()
    assert [str(p) for p in (wrapped.world.workspace / ".git").rglob("*.lock")] == []
    # The agent's own last look saw no placeholder either.
    for line in wrapped.observed.get(STATUS.name, "").splitlines():
        assert not line.startswith("??") or MCP_JSON.path in line, wrapped.explain()


def test_the_report_agrees(wrapped: Run) -> None:
    assert wrapped.report is not None, wrapped.explain()
    ended = wrapped.report["exit"]
    assert (ended["code"], ended["reason"]) == (0, "exited"), wrapped.report
    assert wrapped.report["profile"] == "agent"
    assert wrapped.report["lost_events"] == 0


def test_the_report_names_each_denial_with_rule_and_fix(wrapped: Run) -> None:
    assert wrapped.report is not None, wrapped.explain()
    assert wrapped.report["tier"] == "fanotify"
    denials = {os.path.relpath(d["object"], wrapped.world.workspace): d for d in wrapped.report["denials"]}
    for told in REFUSALS:
        denial = denials.get(told)
        assert denial, f"{told} not among {sorted(denials)}\n{wrapped.explain()}"
        assert denial["layer"] in LAYERS[told], denial
        assert denial["operation"] in OPERATIONS[told], denial
        assert denial["time"], denial
        # The rule that decided, and it is that rule which the fix is about.
        rule = RULES[told]
        assert f'"{rule}"' in denial["rule"], denial
        assert rule in denial["fix"], denial
    assert wrapped.report["verdicts"]["deny"] >= len(REFUSALS)


def test_the_honest_part_is_refused_nothing(wrapped: Run) -> None:
    assert wrapped.report is not None, wrapped.explain()
    denied = {os.path.relpath(d["object"], wrapped.world.workspace) for d in wrapped.report["denials"]}
    assert denied - REFUSALS == set(), wrapped.explain()
    for denial in wrapped.report["denials"]:
        assert denial["operation"] in OPERATIONS[os.path.relpath(denial["object"], wrapped.world.workspace)], denial
    assert wrapped.report["unenforced"] == []


def test_the_user_is_told(wrapped: Run) -> None:
    """The first few denials are on stderr when the run is over, the rest is counted."""
    assert f"mis: denied open {wrapped.world.key}" in wrapped.stderr, wrapped.explain()
    assert "to allow it:" in wrapped.stderr
