"""Fixtures: the agents, downloaded if they are not there, and one run for each agent, bare and wrapped."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import UID

from .agents import AGENTS
from .runner import Installed, Run, Wrapper, fetch_agents, run_once
from .talk import Talk, talk
from .world import World, make_world


@pytest.fixture(scope="session")
def installed() -> dict[str, Installed]:
    """A test that cannot have its agent fails: it is never skipped."""
    return fetch_agents()


class Runs:
    """Each run is made once, when a test first asks for it; one that failed fails every test that asks."""

    def __init__(self, installed: dict[str, Installed], request: pytest.FixtureRequest) -> None:
        self.installed = installed
        self.request = request
        self.worlds: list[World] = []
        self._made: dict[tuple[object, ...], Any] = {}

    def once(self, agent: str, wrapped: bool) -> Run:
        return self._make(run_once, agent, self._wrapper(wrapped))

    def talk(self, agent: str, wrapped: bool) -> Talk:
        return self._make(talk, agent, self._wrapper(wrapped))

    def launched(self, agent: str, launcher: str) -> Run:
        """A run for somebody who is not root, with the agent installed in that home."""
        return self._make(run_once, agent, Wrapper(self.request.getfixturevalue("mis"), launcher))

    def _wrapper(self, wrapped: bool) -> Wrapper:
        # The program is asked for only here: bare runs need none.
        return Wrapper(self.request.getfixturevalue("mis")) if wrapped else Wrapper()

    def _make(self, kind: Callable[..., Any], agent: str, wrapper: Wrapper) -> Any:
        key = (kind, agent, wrapper)
        if key not in self._made:
            if wrapper.launcher == "root":
                world = make_world()
            else:
                # The stage is an account's home as well, which is the one that counts under sudo.
                stage = self.request.getfixturevalue("stage")
                world = make_world(UID, stage if wrapper.launcher == "sudo" else None)
                world.install(self.installed[agent].program, agent, self.installed[agent].version)
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
