"""Claude Code and Codex in a terminal, bare and wrapped.

The conversation itself (talk.py) already fails when the prompt is not drawn, a resize is not followed by a redraw,
Ctrl-Z does not suspend or fg not resume, Ctrl-C does not interrupt, or the agent does not leave. Here is checked what
is to be said afterwards. Bare runs are the control.
"""

import subprocess

import pytest

from .agents import AGENTS
from .conftest import Runs
from .script import GREET_C
from .talk import Talk
from .terminal import UNTOUCHED

NAMES = sorted(name for name, agent in AGENTS.items() if agent.conversation)


@pytest.fixture(params=[(name, wrapped) for name in NAMES for wrapped in (False, True)],
                ids=lambda pair: f"{pair[0]}-{'mis' if pair[1] else 'bare'}")
def had(request: pytest.FixtureRequest, runs: Runs) -> Talk:
    return runs.talk(*request.param)


def test_it_leaves_with_its_own_status(had: Talk) -> None:
    assert had.status == 0
    assert had.problems == ()
    if had.report is not None:
        assert (had.report["exit"]["code"], had.report["exit"]["reason"]) == (0, "exited")


def test_the_work_is_done(had: Talk) -> None:
    assert (had.world.workspace / "greet.c").read_text() == GREET_C
    said = subprocess.run([had.world.workspace / "hello"], capture_output=True, text=True, timeout=10, check=True)
    assert said.stdout == "hello, written by an agent\n"


def test_what_was_interrupted_did_not_go_on(had: Talk) -> None:
    assert (had.world.workspace / "started").exists()
    assert not (had.world.workspace / "ended").exists()
    assert had.sleepers == []


def test_the_terminal_is_as_it_was(had: Talk) -> None:
    assert had.terminal_after == had.terminal_before
    assert had.modes_after == UNTOUCHED
    assert had.echoed


def test_honest_work_is_refused_nothing(had: Talk) -> None:
    if had.report is not None:
        assert had.report["denials"] == []
        assert had.report["verdicts"]["deny"] == 0
        assert had.report["lost_events"] == 0


def test_nothing_is_left_running(had: Talk) -> None:
    assert had.left_behind == []
