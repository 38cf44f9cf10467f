"""Run one agent through the script, bare or wrapped, and say what came of it.

    python3 -m agents.runner AGENT [--keep] [--mis PATH]      (from Tests/Integration)
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .agents import AGENTS, Agent
from .model_server import ModelServer
from .world import World, make_world

SECONDS = 180  # for one whole run; the slowest takes under 20 on two cores


@dataclass(frozen=True)
class Installed:
    """Where scripts/fetch-agents put an agent."""

    name: str
    program: str
    needs: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class Wrapper:
    """What stands before the agent's command line: nothing, or `mis run`."""

    mis: str | None = None
    launcher: str = "root"  # who starts mis: "root", "sudo" (root for the world's owner), "user" (the owner)

    def command(self, world: World, installed: Installed) -> list[str]:
        """The command line up to the agent's arguments."""
        if self.mis is None:
            return [installed.program]
        run = [self.mis, "run", "--net", "host", "-w", str(world.workspace),
               "--report", str(world.root / "report.json")]
        if self.launcher != "root":
            # The program is in the home folder, where its installer puts it and the profile knows it.
            become = ["setpriv", f"--reuid={world.owner}", f"--regid={world.owner}", "--clear-groups"]
            return [*(become if self.launcher == "user" else []), *run, "-p", "agent", "--", installed.name]
        # The built-in profile, and where this machine has the agent: what a user writes whose programs are elsewhere.
        profile = world.root / "agent.toml"
        profile.write_text(f'name = "agent"\nextends = ["agent"]\n[filesystem]\n'
                           f"read = {json.dumps(installed.needs)}\nexecute = {json.dumps(installed.needs)}\n")
        profile.chmod(0o644)
        return [*run, "-p", str(profile), "--", installed.program]

    def environment(self, world: World) -> dict[str, str]:
        """The caller's own part of the environment."""
        if self.launcher != "sudo":
            return {}
        # As sudo sets it. The home folder is then the one that /etc/passwd gives the account.
        return {"HOME": "/root", "USER": "root", "LOGNAME": "root",
                "SUDO_UID": str(world.owner), "SUDO_GID": str(world.owner)}


@dataclass(frozen=True)
class Run:
    """What came of a run."""

    world: World
    status: int
    stdout: str
    stderr: str
    seconds: float
    observed: dict[str, str]
    problems: tuple[str, ...]
    log: str
    report: dict[str, Any] | None

    def explain(self) -> str:
        """Everything a reader of a failed test needs."""
        seen = "\n".join(f"  {name}: {text.strip()[:400]!r}" for name, text in self.observed.items())
        return (f"status {self.status} after {self.seconds:.1f} s, world {self.world.root}\nproblems: {self.problems}\n"
                f"observed:\n{seen}\nstderr: {self.stderr[-3000:]}\nstdout: {self.stdout[-3000:]}")


def fetch_agents() -> dict[str, Installed]:
    """Where the agents are, downloaded if need be. Fails loudly when they cannot be had."""
    script = Path(__file__).resolve().parents[3] / "scripts/fetch-agents"
    subprocess.run([script], check=True, timeout=3600, stdout=subprocess.DEVNULL)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mis-agents"
    listing = Path(os.environ.get("MIS_AGENT_CACHE") or cache) / "agents.json"
    return {name: Installed(name, entry["program"], tuple(entry["needs"]), entry["version"])
            for name, entry in json.loads(listing.read_text()).items()}


def read_report(world: World) -> dict[str, Any] | None:
    path = world.root / "report.json"
    return json.loads(path.read_text()) if path.exists() else None


def run_once(agent: Agent, installed: Installed, wrapper: Wrapper, world: World) -> Run:
    """One task without a terminal, in a fresh world."""
    log = world.root / "requests.jsonl"
    log.touch()
    with ModelServer(agent.script(world, agent.work), log, SECONDS + 30) as server:
        agent.settle(world, server.url)
        command = [*wrapper.command(world, installed), *agent.one_shot(world, server.url)]
        environment = {**world.environment(), **agent.environment(server.url), **wrapper.environment(world)}
        world.give()
        (world.root / "command").write_text(shlex.join(command) + "\n")
        begin = time.monotonic()
        process = subprocess.Popen(command, cwd=world.workspace, env=environment, text=True, errors="replace",
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True)
        try:
            stdout, stderr = process.communicate(agent.stdin, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            stderr += f"\n(killed after {SECONDS} s)"
        seconds = time.monotonic() - begin
    return Run(world, process.returncode, stdout, stderr, seconds, server.observed, tuple(server.problems),
               log.read_text(), read_report(world))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agent", choices=sorted(AGENTS))
    parser.add_argument("--mis", help="wrap the agent with this program")
    parser.add_argument("--keep", action="store_true", help="leave the world in place")
    arguments = parser.parse_args()
    run = run_once(AGENTS[arguments.agent], fetch_agents()[arguments.agent], Wrapper(arguments.mis), make_world())
    print(run.explain())
    if run.report is not None:
        print(json.dumps(run.report, indent=1))
    if not arguments.keep:
        run.world.remove()
    sys.exit(run.status if run.status >= 0 else 128 - run.status)


if __name__ == "__main__":
    main()
