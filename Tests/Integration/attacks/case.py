"""What a case declares: the attack, what stops it, and how its control is made."""

from __future__ import annotations

import dataclasses
import re

LAYERS = {
    "view": "private root and mount flags",
    "seccomp": "system-call filter",
    "landlock": "Landlock",
    "capabilities": "no capabilities",
    "user": "an ordinary user id",
    "no new privileges": "no_new_privs",
    "pid namespace": "own processes only",
    "network namespace": "own network",
    "ipc namespace": "own IPC",
    "uts namespace": "own host name",
    "user namespace": "user namespaces counted out",
    "terminal": "own terminal and session",
    "environment": "environment rebuilt",
    "launcher": "the launcher's own checks",
    "limits": "resource limits and cgroup",
    "fanotify": "answers on the opened object",
    "kernel": "a kernel that is fixed",
}

# Layers that can be put on alone, around an attack that nothing else holds.
ALONE = {
    "view",
    "seccomp",
    "landlock",
    "capabilities",
    "user",
    "no new privileges",
    "pid namespace",
    "network namespace",
    "ipc namespace",
    "uts namespace",
    "user namespace",
}

LAUNCHERS = ("user", "root", "sudo")

# A step of the arena: a process beside the attack, waited for until it has the name by which the attack finds it.
NEIGHBOUR = (
    "ATTACK_SECRET=$ATTACK_SECRET {ws}/neighbour $ATTACK_SECRET &\n"
    "until grep -qs mis-neighbour /proc/[0-9]*/comm; do sleep 0.01; done"
)


@dataclasses.dataclass(frozen=True)
class Case:
    """One attack of the corpus.

    number     the corpus's number; a letter behind it tells parts of one case apart
    title      the attack in a few words
    program    the attack program, without ".c"
    layers     what stops it: a list, or {layer: pattern of the steps it stops}; those of ALONE are tested alone,
               but for the pattern "^$": named, and tested elsewhere
    expected   {pattern of steps: pattern of errnos}, "" for all others
    control    "arena": every step works in a throw-away container; else the reason why there is no control
    unreached  steps that do not work in the control either, and why that is all right
    arguments  for the program
    launchers  who starts the sandbox
    options    for `mis run`
    needs      {launcher: reason} where the case is not run for a launcher
    """

    number: str
    title: str
    program: str
    layers: tuple[str, ...] | dict[str, str]
    expected: dict[str, str]
    control: str = "arena"
    unreached: str = ""
    arguments: tuple[str, ...] = ()
    launchers: tuple[str, ...] = LAUNCHERS
    options: tuple[str, ...] = ()
    arena: tuple[str, ...] = ()
    seconds: float = 20

    @property
    def alone(self) -> list[tuple[str, str]]:
        pairs = self.layers.items() if isinstance(self.layers, dict) else ((layer, "") for layer in self.layers)
        return [(layer, steps) for layer, steps in pairs if layer in ALONE and steps != "^$"]

    def errnos(self, step: str) -> str:
        for pattern, errnos in self.expected.items():
            if pattern and re.search(pattern, step):
                return errnos
        return self.expected.get("", "E[A-Z0-9]+")


@dataclasses.dataclass(frozen=True)
class Declared:
    """A case whose test is written out: what the table says about it."""

    number: str
    title: str
    layers: tuple[str, ...]
    control: str


def covers(number: str, title: str, layers: tuple[str, ...] = (), control: str = "in the test"):
    """Marks a test function as the test of a case."""

    def mark(function):
        function.covered = getattr(function, "covered", ()) + (Declared(number, title, tuple(layers), control),)
        return function

    return mark
