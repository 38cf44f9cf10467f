"""Fixtures: the agents, downloaded if they are not there; mis; and one run for each agent, bare and wrapped."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .agents import AGENTS
from .runner import Installed, Run, Wrapper, fetch_agents, run_once
from .talk import Talk, talk
from .world import World, make_world


@pytest.fixture(scope="session")
def installed() -> dict[str, Installed]:
    """A test that cannot have its agent fails: it is never skipped."""
    return fetch_agents()


@pytest.fixture(scope="session")
def mis() -> str:
    """The program under test: $MIS, else what scripts/build makes."""
    if given := os.environ.get("MIS"):
        return str(Path(given).resolve(strict=True))
    build = Path(__file__).resolve().parents[3] / "scripts/build"
    return subprocess.run([build], check=True, stdout=subprocess.PIPE, text=True, timeout=3600).stdout.split("\n")[-2]


class Runs:
    """Each run is made once, when a test first asks for it; one that failed fails every test that asks."""

    def __init__(self, installed: dict[str, Installed], request: pytest.FixtureRequest) -> None:
        self.installed = installed
        self.request = request
        self.worlds: list[World] = []
        self._made: dict[tuple[object, ...], Any] = {}

    def once(self, agent: str, wrapped: bool) -> Run:
        return self._make(run_once, agent, wrapped)

    def talk(self, agent: str, wrapped: bool) -> Talk:
        return self._make(talk, agent, wrapped)

    def _make(self, kind: Callable[..., Any], agent: str, wrapped: bool) -> Any:
        key = (kind, agent, wrapped)
        if key not in self._made:
            # The program is asked for only here: bare runs need none.
            wrapper = Wrapper(self.request.getfixturevalue("mis")) if wrapped else Wrapper()
            world = make_world()
            self.worlds.append(world)
            try:
                self._made[key] = kind(AGENTS[agent], self.installed[agent], wrapper, world)
            except Exception as error:
                self._made[key] = error
        if isinstance(self._made[key], Exception):
            raise self._made[key]
        return self._made[key]


@pytest.fixture(scope="session")
def runs(installed: dict[str, Installed], request: pytest.FixtureRequest) -> Iterator[Runs]:
    made = Runs(installed, request)
    yield made
    # MIS_AGENT_KEEP leaves the worlds in place for a look at them.
    for world in made.worlds if "MIS_AGENT_KEEP" not in os.environ else []:
        world.remove()
