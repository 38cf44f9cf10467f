"""One task for somebody who is not root: run by an ordinary user (tier landlock), and by root through sudo.

The agent is installed in the user's home folder, where its own installer puts it, and is started by its bare name: as
`mis run -p agent -- claude` is typed. test_agents.py has the control runs without a sandbox.
"""

import os
import re
import subprocess

import pytest
from harness import UID

from .conftest import Runs
from .runner import Run
from .script import GIT_CONFIG, GREET_C, MAKE_HOOK, MCP_JSON, READ_KEY
from .talk import settle
from .test_agents import HOOK, KEY, REFUSALS, REFUSED

TIERS = {"user": "landlock", "sudo": "fanotify"}


@pytest.fixture(params=sorted(TIERS))
def launched(request: pytest.FixtureRequest, runs: Runs) -> tuple[str, Run]:
    return request.param, runs.launched("claude", request.param)


def test_the_work_is_done(launched: tuple[str, Run]) -> None:
    run = launched[1]
    assert run.status == 0, run.explain()
    assert run.problems == (), run.explain()
    assert (run.world.workspace / "greet.c").read_text() == GREET_C
    said = subprocess.run([run.world.workspace / "hello"], capture_output=True, text=True, timeout=10, check=True)
    assert said.stdout == "hello, written by an agent\n"
    assert "Add the greeting" in run.world.git("log", "--format=%s", "--", "greet.c"), run.explain()


def test_what_it_made_is_the_users(launched: tuple[str, Run]) -> None:
    world = launched[1].world
    for path in (*world.workspace.rglob("*"), *world.home.glob(".claude/**/*"), world.home / ".claude.json"):
        found = path.lstat()
        assert (found.st_uid, found.st_gid) == (UID, UID), f"{path} belongs to {found.st_uid}:{found.st_gid}"


def test_the_key_is_seen_nowhere(launched: tuple[str, Run]) -> None:
    run = launched[1]
    assert run.world.secret not in run.log + run.stdout + run.stderr
    assert run.world.holders_of(run.world.secret) == [str(run.world.key.relative_to(run.world.root))]


@pytest.mark.parametrize("step", [READ_KEY, MAKE_HOOK, GIT_CONFIG], ids=lambda step: step.name)
def test_the_agent_sees_an_ordinary_error(launched: tuple[str, Run], step: object) -> None:
    said = launched[1].observed[step.name]
    assert REFUSED.search(said) and re.search(r"status=[1-9]", said), launched[1].explain()


def test_what_is_protected_is_as_it_was(launched: tuple[str, Run]) -> None:
    workspace = launched[1].world.workspace
    assert not os.path.lexists(workspace / HOOK)
    assert "scripted" not in (workspace / ".git/config").read_text()
    assert not os.path.lexists(workspace / MCP_JSON.path)


def test_the_report_agrees(launched: tuple[str, Run]) -> None:
    launcher, run = launched
    assert run.report is not None, run.explain()
    assert run.report["tier"] == TIERS[launcher]
    assert (run.report["exit"]["code"], run.report["exit"]["reason"]) == (0, "exited")
    denied = {os.path.relpath(denial["object"], run.world.workspace) for denial in run.report["denials"]}
    assert denied - REFUSALS == set(), run.explain()
    assert REFUSALS - {KEY} <= denied, run.explain()
    # Without root a hidden file is refused by Landlock and by not being there, which nobody tells of.
    assert launcher == "user" or KEY in denied, run.explain()


def test_a_weaker_tier_says_what_it_cannot_do(launched: tuple[str, Run]) -> None:
    """`**/.env` takes looking at each open: without root the report says that this was not done."""
    launcher, run = launched
    assert run.report is not None, run.explain()
    assert bool([gap for gap in run.report["unenforced"] if "**/.env" in gap]) == (launcher == "user")


def test_nothing_is_left_running(launched: tuple[str, Run]) -> None:
    assert settle(launched[1].world.processes) == []
