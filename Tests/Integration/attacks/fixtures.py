"""Fixtures of the attack tests."""

import os

import pytest
from harness import Leftovers

from .world import World

_made: list[World] = []


@pytest.fixture(scope="module")
def world(request, stage):
    """The folders and programs of a session, and the sandboxes of a module; nothing of them is left afterwards."""
    if os.getuid() != 0:
        pytest.fail("the attack tests are run as root: controls need namespaces that no sandbox guards")
    # Each module that imports this fixture has its own copy of it; they share one world.
    if not _made:
        _made.append(World())
        request.config.add_cleanup(_made[0].remove)
        _made[0].make()
    before = Leftovers()
    yield _made[0]
    _made[0].rest()
    before.none_within(5)
