"""The fixtures of the suites in this folder."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Leftovers, Sandbox, binary, enter_stage, leave_stage

LAUNCHERS = ("user", "root", "sudo")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In a virtual machine that may run out of time, a failure is told when it is seen."""
    if report.failed and "MIS_ROOT_TIER" in os.environ:
        print(f"\n!!! {report.nodeid}, {report.when}\n{report.longreprtext[-2500:]}\n", flush=True)


@pytest.fixture(scope="session")
def stage() -> Iterator[Path]:
    yield enter_stage()
    leave_stage()


@pytest.fixture(scope="session")
def mis() -> str:
    return binary()


@pytest.fixture
def leftovers(stage: Path) -> Iterator[Leftovers]:
    """Fails a test that leaves a process, a cgroup, a mount or a runtime file behind."""
    before = Leftovers()
    yield before
    try:
        before.none_within(3)
    finally:
        before.remove()


@pytest.fixture
def make_sandbox(
    stage: Path, mis: str, leftovers: Leftovers, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], Sandbox]]:
    """For tests that choose the launcher, or want several sandboxes."""
    made: list[Sandbox] = []
    number = getattr(request.config, "mis_sandboxes", 0)

    def make(launcher: str) -> Sandbox:
        nonlocal number
        number += 1
        request.config.mis_sandboxes = number  # type: ignore[attr-defined]
        made.append(Sandbox(launcher, mis, stage / f"t{number}"))
        return made[-1]

    yield make
    for sandbox in made:
        sandbox.close()


@pytest.fixture(params=LAUNCHERS)
def sandbox(request: pytest.FixtureRequest, make_sandbox: Callable[[str], Sandbox]) -> Sandbox:
    return make_sandbox(request.param)


@pytest.fixture
def user(make_sandbox: Callable[[str], Sandbox]) -> Sandbox:
    return make_sandbox("user")


@pytest.fixture
def root(make_sandbox: Callable[[str], Sandbox]) -> Sandbox:
    return make_sandbox("root")
