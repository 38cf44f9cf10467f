"""The three tests every declared case has: the control, the sandbox, and each layer alone."""

from __future__ import annotations

import re

import pytest

from .case import Case
from .world import World


def broken(near: dict[str, str]) -> dict[str, str]:
    return {name: answer for name, answer in near.items() if answer != "ok"}


def attack_tests(cases: list[Case]):
    """Tests for a module's cases: (control, inside, layer)."""

    @pytest.mark.parametrize("case", [case for case in cases if case.control == "arena"], ids=lambda case: case.number)
    def test_control(case: Case, world: World):
        """Without the sandbox every step works: a test that cannot escape proves nothing."""
        result = world.control(case)
        assert result.done and result.steps, result
        held = {
            step: answer
            for step, answer in result.steps.items()
            if answer != "ok" and not (case.unreached and re.search(case.unreached, step))
        }
        assert not held, f"{case.number}: the control did not escape: {held}\n{result}"
        assert not broken(result.near), result

    @pytest.mark.parametrize(
        "who,case",
        [(who, case) for case in cases for who in case.launchers],
        ids=lambda value: value if isinstance(value, str) else value.number,
    )
    def test_inside(case: Case, who: str, world: World):
        """In the sandbox no step works, each is refused as expected, and the honest neighbour works."""
        result = world.attack(case, who)
        assert result.done and result.steps, result
        escaped = [step for step, answer in result.steps.items() if answer == "ok"]
        assert not escaped, f"{case.number}: ESCAPED: {escaped}\n{result}"
        unexpected = {
            step: answer for step, answer in result.steps.items() if not re.fullmatch(case.errnos(step), answer)
        }
        assert not unexpected, f"{case.number}: refused, but not as documented: {unexpected}\n{result}"
        assert not broken(result.near), f"{case.number}: honest use fails: {broken(result.near)}\n{result}"

    @pytest.mark.parametrize(
        "case,layer,steps",
        [(case, *pair) for case in cases for pair in case.alone],
        ids=lambda value: value.number if isinstance(value, Case) else value.split("|")[0] or "all",
    )
    def test_layer(case: Case, layer: str, steps: str, world: World):
        """Each layer that is said to stop the attack stops it with every other one absent."""
        result = world.alone(case, layer)
        concerned = {step: answer for step, answer in result.steps.items() if re.search(steps, step)}
        assert result.done and concerned, result
        escaped = [step for step, answer in concerned.items() if answer == "ok"]
        assert not escaped, f"{case.number}: {layer} alone does not stop {escaped}\n{result}"

    # A module without layers to be put on alone has no such test, rather than one that is skipped.
    return test_control, test_inside, test_layer if any(case.alone for case in cases) else None
