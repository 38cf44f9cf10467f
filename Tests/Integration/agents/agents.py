"""The agents under test: how each is started, set up, and made to follow the script."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from .script import (BUILD, DONE, GIT_CONFIG, MAKE_HOOK, MCP_JSON, PROMPT, READ_KEY, WORK, WRITE, Ask, Script, Shell,
                     Step, Turn, Write, result_of_call)
from .wire import Heard, Reply, ToolCall
from .world import World

KEY = "made-up-api-key"


@dataclass(frozen=True)
class Conversation:
    """How an agent is talked to in a terminal."""

    arguments: list[str]
    prompt: str  # a pattern for the line the user types on
    interrupted: str  # a pattern for what it shows after Ctrl-C has stopped its work


@dataclass(frozen=True)
class Agent:
    name: str
    # Arguments after the program for one task without a terminal.
    one_shot: Callable[[World, str], list[str]]
    # Variables the agent needs to find the server at a URL.
    environment: Callable[[str], dict[str, str]]
    # Files in the home folder that a user of this agent would have.
    settle: Callable[[World, str], None]
    script: Callable[[World, tuple[Step, ...]], Script]
    stdin: str = ""
    work: tuple[Step, ...] = WORK
    conversation: Conversation | None = None


def tool_script(tool: str, lower: Callable[[World, Step], ToolCall]) -> Callable[[World, tuple[Step, ...]], Script]:
    """A script for an agent with tools: one call a turn. `tool` is one that only the agent's own requests offer."""

    def build(world: World, steps: tuple[Step, ...]) -> Script:
        turns = []
        after = ""
        for number, step in enumerate(steps):
            if isinstance(step, Ask):
                after = step.text
                continue
            if isinstance(step, (Write, Shell)):
                call = lower(world, step)
                reply = Reply(call=ToolCall(f"call_{number:02}_{step.name}", call.name, call.arguments))
            else:
                reply = Reply(text=step.text)
            turns.append(Turn((step,), reply, after))
        return Script(tuple(turns), belongs=lambda heard: tool in heard.tools, results=result_of_call)

    return build


def heredoc(step: Write) -> str:
    return f"cat > {step.path} <<'END_OF_FILE'\n{step.content}END_OF_FILE\necho \"status=$?\""


def nothing(world: World, url: str) -> None:
    """No files of its own."""


# Claude Code -----------------------------------------------------------------------------------------------------


def claude_call(world: World, step: Step) -> ToolCall:
    if isinstance(step, Write):
        return ToolCall("", "Write", {"file_path": str(world.workspace / step.path), "content": step.content})
    return ToolCall("", "Bash", {"command": step.command, "description": step.name})


def claude_settle(world: World, url: str) -> None:
    """As after the first start: questions about theme, key, trust and the mode without questions are answered."""
    (world.home / ".claude.json").write_text(json.dumps({
        "hasCompletedOnboarding": True, "theme": "dark",
        "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []},
        "projects": {str(world.workspace): {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}},
    }))
    # Where it would note the last of these answers itself, which the profile protects: hooks stand there too.
    (world.home / ".claude").mkdir()
    (world.home / ".claude/settings.json").write_text('{"skipDangerousModePermissionPrompt": true}\n')


# Its own questions are off, as with Codex: the sandbox around it is the one under test. It refuses that as uid 0, which
# it is in a bare run by root, unless told that it is in a sandbox.
CLAUDE = Agent(
    name="claude",
    one_shot=lambda world, url: ["-p", PROMPT, "--output-format", "stream-json", "--verbose",
                                 "--dangerously-skip-permissions"],
    conversation=Conversation(["--dangerously-skip-permissions"], prompt="^❯", interrupted="Interrupted"),
    environment=lambda url: {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY, "DISABLE_AUTOUPDATER": "1",
                             "IS_SANDBOX": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
    settle=claude_settle,
    script=tool_script("Bash", claude_call),
)

# Codex -----------------------------------------------------------------------------------------------------------

CODEX_CONFIG = """model = "scripted"
model_provider = "scripted"
check_for_update_on_startup = false

[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
request_max_retries = 0
stream_max_retries = 0

[analytics]
enabled = false

# What would reach beyond the model: a plugin catalogue, connectors, a daemon shared between sessions.
[features]
plugins = false
remote_plugin = false
apps = false
daemon_auto_start = false

# What its first starts in a terminal note here themselves: profile agent protects the file, programs stand in it too.
[tui]
screen_reader_detection_done = true

[tui.model_availability_nux]
"gpt-6.1-sol" = 4

[projects."{workspace}"]
trust_level = "trusted"
"""


def codex_call(world: World, step: Step) -> ToolCall:
    command = step.command if isinstance(step, Shell) else ""
    if isinstance(step, Write):
        # Codex edits with apply_patch, a helper program that it puts on the PATH and recognises in commands.
        added = "".join(f"+{line}\n" for line in step.content.splitlines())
        command = f"apply_patch <<'PATCH'\n*** Begin Patch\n*** Add File: {step.path}\n{added}*** End Patch\nPATCH"
    return ToolCall("", "exec_command", {"cmd": command, "yield_time_ms": 20000})


def codex_settle(world: World, url: str) -> None:
    (world.home / ".codex").mkdir()
    (world.home / ".codex/config.toml").write_text(CODEX_CONFIG.format(url=url, workspace=world.workspace))


# Codex's own sandbox is off: the sandbox around it is the one under test.
CODEX = Agent(
    name="codex",
    one_shot=lambda world, url: ["exec", "--json", "--dangerously-bypass-approvals-and-sandbox", PROMPT],
    conversation=Conversation(["--dangerously-bypass-approvals-and-sandbox"], prompt="^›",
                              interrupted="Conversation interrupted"),
    environment=lambda url: {"OPENAI_API_KEY": KEY},
    settle=codex_settle,
    script=tool_script("exec_command", codex_call),
)

# mini-swe-agent --------------------------------------------------------------------------------------------------


def mini_call(world: World, step: Step) -> ToolCall:
    return ToolCall("", "bash", {"command": heredoc(step) if isinstance(step, Write) else step.command})


MINI_SUBMIT = Shell("submit", "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT")

MINI = Agent(
    name="mini",
    one_shot=lambda world, url: ["--yolo", "--exit-immediately", "--model", "openai/scripted", "--task", PROMPT],
    environment=lambda url: {"OPENAI_API_BASE": f"{url}/v1", "OPENAI_API_KEY": KEY, "MSWEA_CONFIGURED": "true",
                             "MSWEA_COST_TRACKING": "ignore_errors", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    settle=nothing,
    script=tool_script("bash", mini_call),
    work=(*(step for step in WORK if step is not DONE), MINI_SUBMIT),
)

# aider -----------------------------------------------------------------------------------------------------------
# aider has no tools: it takes edits and shell commands out of the model's text, commits edits itself, and runs a test
# command after each; only a failing test makes it ask the model again. The test fails until the last turn's edit.

AIDER_LAST = Write("done", "NOTES", "The greeting is there.\n")


def aider_edit(step: Write) -> str:
    return f"{step.path}\n```\n<<<<<<< SEARCH\n=======\n{step.content}>>>>>>> REPLACE\n```\n"


def aider_results(turn: Turn, heard: Heard) -> dict[str, str]:
    """What aider added to the conversation under each command it ran."""
    told = "\n".join(heard.told)
    found = {}
    for step in turn.steps:
        if isinstance(step, Shell) and (head := f"Output from {step.command}\n") in told:
            found[step.name] = told.split(head, 1)[1].split("\n\n", 1)[0]
    return found


def aider_script(world: World, steps: tuple[Step, ...]) -> Script:
    del steps  # aider's turns carry several steps each, as it allows the model only four turns for one message
    grouped: list[tuple[Step, ...]] = [
        (WRITE, BUILD),
        (Write("note", "IDEAS", "Say goodbye too.\n"), READ_KEY, MAKE_HOOK, GIT_CONFIG),
        (MCP_JSON,),
        (AIDER_LAST,),
    ]
    turns = []
    for number, group in enumerate(grouped, 1):
        text = f"Part {number} of {len(grouped)}.\n\n"
        text += "\n".join(aider_edit(step) for step in group if isinstance(step, Write))
        text += "".join(f"\n```bash\n{step.command}\n```\n" for step in group if isinstance(step, Shell))
        turns.append(Turn(group, Reply(text=text)))
    return Script(tuple(turns), belongs=lambda heard: any("SEARCH/REPLACE" in text for text in heard.told),
                  results=aider_results)


def aider_settle(world: World, url: str) -> None:
    """A fresh price list, which aider would otherwise fetch."""
    caches = world.home / ".aider/caches"
    caches.mkdir(parents=True)
    (caches / "model_prices_and_context_window.json").write_text('{"scripted": {"litellm_provider": "none"}}\n')


AIDER = Agent(
    name="aider",
    one_shot=lambda world, url: [
        "--model", "openai/scripted", "--edit-format", "diff", "--message", PROMPT, "--auto-test",
        "--test-cmd", f"test -e {AIDER_LAST.path}", "--no-auto-lint", "--map-tokens", "0", "--no-pretty",
        "--no-fancy-input", "--no-show-model-warnings", "--no-check-update", "--no-show-release-notes",
        "--analytics-disable", "--no-detect-urls",
        "--max-chat-history-tokens", "100000",  # else it has older turns summarised, and the script loses its place
        "main.c", "greet.h", "Makefile"],
    environment=lambda url: {"OPENAI_API_BASE": f"{url}/v1", "OPENAI_API_KEY": KEY,
                             "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    settle=aider_settle,
    script=aider_script,
    # aider asks before it runs a command, and --yes-always would answer no to that.
    stdin="y\n" * 100,
    work=(WRITE, BUILD, READ_KEY, MAKE_HOOK, GIT_CONFIG, MCP_JSON),
)

AGENTS = {agent.name: agent for agent in (CLAUDE, CODEX, AIDER, MINI)}
