"""Talk to an agent in a terminal the way a person does: start it, ask, resize, interrupt, suspend, leave."""

import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .agents import Agent
from .model_server import ModelServer
from .runner import SECONDS, Installed, Wrapper, read_report
from .script import ASK_TO_WAIT, DONE, PROMPT, TALK, WAITED_SECONDS
from .terminal import Terminal
from .world import World

SHELL = r"^ready> *\Z"  # the shell's prompt, on the last line with anything on it
THOUGHT = "half a thought"  # typed, and not sent


@dataclass(frozen=True)
class Talk:
    """What came of a conversation."""

    world: World
    status: int  # the agent's, as the shell saw it
    terminal_before: str  # stty -g
    terminal_after: str
    modes_after: dict[str, str]
    echoed: bool  # whether the shell still shows what is typed
    sleepers: list[int]  # processes of the interrupted command that are still there
    left_behind: list[str]
    observed: dict[str, str]
    problems: tuple[str, ...]
    report: dict[str, Any] | None


def redrawn(screen: str, prompt: str, columns: int, rows: int) -> bool:
    """Whether a program that fills the screen has drawn itself for this size: where the user types is near the last
    row, and something there reaches the last column. (Without a redraw both stay where they were.)"""
    lines = screen.removesuffix("\n").split("\n")
    bottom = lines[-6:]
    widest = max(len(line.rstrip()) for line in bottom)
    typed = any(re.match(prompt, line) for line in bottom)
    return len(lines) == rows and typed and columns - 3 <= widest <= columns


def wait_for_redraw(terminal: Terminal, prompt: str, columns: int, rows: int) -> None:
    terminal.resize(columns, rows)
    end = time.monotonic() + 30
    while not redrawn(terminal.screen(), prompt, columns, rows):
        if time.monotonic() > end:
            raise AssertionError(f"not redrawn for {columns} by {rows}:\n{terminal.screen()}")
        time.sleep(0.1)


def wait_for_file(path: Path, terminal: Terminal) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > end:
            raise AssertionError(f"{path} does not appear; on the screen:\n{terminal.screen()}")
        time.sleep(0.05)


def leave(terminal: Terminal) -> None:
    """Ctrl-C until the program gives the screen back: agents want it twice in short order. Not once more than that, as
    it would reach the shell, which then forgets the agent's status: after each second one a busy machine has time."""
    for number in range(8):
        terminal.press("C-c")
        for _ in range(30 if number % 2 else 4):
            time.sleep(0.1)
            if terminal.modes()["alternate_on"] == "0":
                terminal.wait(SHELL)
                return
    raise AssertionError(f"it does not leave; on the screen:\n{terminal.screen()}")


def sleepers() -> list[int]:
    """The processes that run the command to be interrupted."""
    wanted = f"sleep\0{WAITED_SECONDS}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == wanted:
                found.append(int(entry.name))
        except OSError:
            pass  # gone meanwhile
    return found


def settle(condition: Any, seconds: float = 5) -> Any:
    """The value of a function once it is empty, or as it is when time is up."""
    end = time.monotonic() + seconds
    while (value := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return value


def talk(agent: Agent, installed: Installed, wrapper: Wrapper, world: World) -> Talk:
    """The whole conversation, in a fresh world. What cannot be checked at the end is checked on the way, by waiting for
    it."""
    conversation = agent.conversation
    if conversation is None:
        raise ValueError(f"{agent.name} has no conversation")
    log = world.root / "requests.jsonl"
    log.touch()
    with ModelServer(agent.script(world, TALK), log, SECONDS + 30) as server:
        agent.settle(world, server.url)
        start = world.root / "start"
        command = [*wrapper.command(world, installed), *conversation.arguments]
        start.write_text(f"#!/bin/sh\ncd {shlex.quote(str(world.workspace))}\nexec {shlex.join(command)}\n")
        start.chmod(0o755)
        environment = {**world.environment(), **agent.environment(server.url)}
        with Terminal(world.root, environment, 100, 30) as terminal:
            terminal.wait(SHELL)
            before = terminal.command("stty -g")

            terminal.type(str(start))
            terminal.wait(conversation.prompt)
            terminal.type(PROMPT)
            terminal.wait(DONE.text)
            wait_for_redraw(terminal, conversation.prompt, 70, 24)
            wait_for_redraw(terminal, conversation.prompt, 130, 40)

            terminal.type(ASK_TO_WAIT.text)
            wait_for_file(world.workspace / "started", terminal)
            terminal.press("C-c")
            terminal.wait(conversation.interrupted)
            leave(terminal)

            status = int(terminal.command("echo $?"))
            after = terminal.command("stty -g")
            modes = terminal.modes()
            terminal.type("echo sane-$((1+1))")
            shown = terminal.wait("sane-2")
            echoed = "echo sane-$((1+1))" in shown

            # Only now, in a second conversation: after fg the shell itself puts the terminal right.
            # The first conversation's prompt must be gone from the screen before this one's is waited for.
            terminal.type("clear")
            terminal.wait(r"\Aready> *\Z")
            terminal.type(str(start))
            terminal.wait(conversation.prompt)
            # What is typed shows that it listens: while it loads, a prompt is drawn and keys are thrown away.
            terminal.begin(THOUGHT)
            terminal.press("C-z")
            terminal.wait(rf"Stopped.*\n(.*\n)*{SHELL}")
            terminal.type("clear")
            terminal.wait(r"\Aready> *\Z")
            terminal.type("fg")
            terminal.wait(rf"{conversation.prompt}\s*{THOUGHT}")
            leave(terminal)
        gone = settle(sleepers)
        left = settle(world.processes)
    return Talk(world, status, before, after, modes, echoed, gone, left, server.observed, tuple(server.problems),
                read_report(world))
