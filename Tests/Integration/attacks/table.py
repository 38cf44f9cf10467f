"""The table of cases in docs/attacks.md, from what the tests themselves declare."""

from __future__ import annotations

import importlib
import pathlib
import re

from .case import ALONE, LAYERS, Case
from .elsewhere import ELSEWHERE

FOLDER = pathlib.Path(__file__).parent.parent
DOCUMENT = FOLDER.parent.parent / "docs" / "attacks.md"

HEAD = """\
# What must fail

Every row is an attack that is tested. The tests compile the attack programs of `Tests/Integration/attacks/programs`
and run each of them three ways:

- **control**: in a throw-away container, as root with every capability and nothing in the way. There each step has to
  work; a test that cannot escape proves nothing and fails.
- **sandbox**: under `mis run`, started by an ordinary user, by root, and through sudo. No step may work, each is refused
  with the documented error, and what an honest program does beside it works.
- **layers**: with one layer alone and all others absent. The filter is the one a running sandbox has, read back from the
  kernel; the Landlock rules are the plan's; namespaces and mounts are entered from outside. Layers marked `*` are seen to
  stop the attack by themselves (where a pattern is given: those steps of it).

`scripts/attack-table` writes this file from the tests' declarations, and a test compares the two.

Races run for at least 5,000 rounds and 1.5 s; 0 successes in N rounds bound the rate at 3/N with 95 % confidence, and
each prints its own bound.
"""


def modules():
    for path in sorted(FOLDER.glob("test_attack_*.py")):
        yield path.stem, importlib.import_module(path.stem)


def layers_of(case: Case) -> str:
    pairs = case.layers.items() if isinstance(case.layers, dict) else ((layer, "") for layer in case.layers)
    return ", ".join(
        LAYERS[layer]
        + ("*" if layer in ALONE and steps != "^$" else "")
        + (f" (`{escaped(steps)}`)" if steps and steps != "^$" else "")
        for layer, steps in pairs
    )


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def rows() -> list[tuple[str, str, str, str, str]]:
    found = []
    for name, module in modules():
        for case in getattr(module, "CASES", []):
            control = "arena" if case.control == "arena" else case.control
            if case.unreached and case.control == "arena":
                control += f", but for `{escaped(case.unreached)}`"
            found.append((case.number, case.title, f"`{name}`", layers_of(case), control.replace("arena", "container")))
        for function, value in vars(module).items():
            for declared in getattr(value, "covered", ()):
                found.append(
                    (
                        declared.number,
                        declared.title,
                        f"`{name}` `{function}`",
                        ", ".join(LAYERS[layer] for layer in declared.layers),
                        declared.control,
                    )
                )
    return sorted(found, key=lambda row: (row[0][:4], row[0], row[1]))


def document() -> str:
    every = rows()
    numbers = {number[:4] for number, *_ in every}
    # A title may answer for further numbers of the corpus.
    numbers |= {more for _, title, *_ in every for more in re.findall(r"C\d{3}", title)}
    lines = [HEAD, f"{len(numbers)} cases of the corpus in {len(every)} rows.", ""]
    lines += ["| case | attack | test | what stops it | control |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in every]
    for heading, declared in ELSEWHERE.items():
        lines += [
            "",
            f"## {heading.capitalize()}",
            "",
            "| case | attack | what stops it | where, or why not |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| {each.number} | {each.title} | {', '.join(LAYERS[layer] for layer in each.layers)} | {each.control} |"
            for each in declared
        ]
    return "\n".join(lines) + "\n"
