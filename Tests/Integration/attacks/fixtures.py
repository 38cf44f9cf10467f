"""Fixtures of the attack tests."""

import os

import pytest

from .world import World

_made: list[World] = []


@pytest.fixture(scope="session")
def world(request):
    """The folders and programs of a session; nothing of it is left afterwards."""
    if os.getuid() != 0:
        pytest.fail("the attack tests are run as root: controls need namespaces that no sandbox guards")
    # Each module that imports this fixture has its own copy of it; they share one world.
    if not _made:
        _made.append(World())
        request.config.add_cleanup(_made[0].remove)
        _made[0].make()
    return _made[0]
