"""Each row of the table of exit statuses, and the report's agreement with it."""

import json
import os
import signal

import pytest
from harness import PATIENCE, Sandbox, guardian

MEMORY_HOG = "import os\nprint('begun', flush=True)\nheld = b''\nwhile True: held += os.urandom(1 << 20) * 16"


def agrees(result, code: int, reason: str, signal_number: int | None = None) -> None:
    assert result.status == code, f"{result.status} instead of {code}: {result.stderr}"
    assert result.exit == {"code": code, "signal": signal_number, "reason": reason}


@pytest.mark.parametrize("code", [0, 1, 2, 42, 120, 125, 127, 128, 137, 254, 255])
def test_own_status_passes_through(sandbox: Sandbox, code: int) -> None:
    """120 and the like too: the reason tells them from mis's own."""
    agrees(sandbox.shell(f"exit {code}"), code, "exited")


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "ABRT", "KILL", "SEGV", "PIPE", "TERM", "USR1"])
def test_signal_is_128_plus_its_number(sandbox: Sandbox, name: str) -> None:
    number = signal.Signals[f"SIG{name}"].value
    agrees(sandbox.shell(f"ulimit -c 0; kill -{name} $$; exit 9"), 128 + number, "signalled", number)


def test_real_time_signal(user: Sandbox) -> None:
    agrees(user.run("/usr/bin/python3", "-c", "import os; os.kill(os.getpid(), 40)"), 168, "signalled", 40)


def test_a_caught_signal_is_no_death(user: Sandbox) -> None:
    agrees(user.shell("trap 'exit 7' TERM; kill -TERM $$; exit 9"), 7, "exited")


@pytest.mark.parametrize("launcher", ["root", "sudo"])
def test_120_out_of_memory(make_sandbox, launcher: str) -> None:
    sandbox = make_sandbox(launcher)
    result = sandbox.run("/usr/bin/python3", "-c", MEMORY_HOG, options=["--limit", "memory=64M"])
    assert "begun" in result.stdout
    assert result.status == 120
    assert result.exit["reason"] == "oom"
    assert result.report["resources"]["memory_peak"] <= 64 << 20
    assert "64M" in result.stderr and "--limit memory=" in result.stderr
    honest = sandbox.run(
        "/usr/bin/python3", "-c", "held = bytes(16 << 20); print('held')", options=["--limit", "memory=64M"]
    )
    assert honest.ok().stdout == "held\n"


def test_120_only_a_child_is_killed_and_all_of_it_ends(root: Sandbox) -> None:
    result = root.shell(f'/usr/bin/python3 -c "{MEMORY_HOG}"; sleep 20; exit 3', options=["--limit", "memory=64M"])
    assert (result.status, result.exit["reason"]) == (120, "oom")
    assert result.seconds < 15


POLICY = """
name = "strict"
extends = ["default"]
[filesystem]
deny = ["${WORKSPACE}/secret"]
[escalation]
kill = 6
window = "60s"
"""


@pytest.mark.parametrize("launcher", ["root", "sudo"])
def test_121_violations_reach_level_1(make_sandbox, launcher: str) -> None:
    sandbox = make_sandbox(launcher)
    sandbox.write("secret", "s3cr3t")
    profile = sandbox.write(sandbox.base / "strict.toml", POLICY)
    # Repetitions are added up for a quarter of a second: the many take longer than that.
    knocks = "for i in $(seq {}); do cat secret; sleep 0.02; done; echo survived"
    many = sandbox.shell(knocks.format(500), profile=str(profile))
    assert (many.status, many.exit["reason"]) == (121, "policy"), many.stderr
    assert "survived" not in many.stdout and "s3cr3t" not in many.stdout
    assert many.report["level"] == 1
    few = sandbox.shell(knocks.format(2), profile=str(profile))
    assert (few.status, few.stdout) == (0, "survived\n")
    assert "s3cr3t" not in few.stdout
    assert few.report["level"] > 1


WATCHDOG = """
name = "watched"
extends = ["default"]
[limits]
cpu = "none"
[watchdog]
interval = "200ms"
# Far below a core: on a crowded machine that is all a loop gets.
cpu = "20%"
cpu_for = "1s"
"""


def test_122_the_watchdog(root: Sandbox) -> None:
    profile = root.write(root.base / "watched.toml", WATCHDOG)
    spinning = root.shell("while :; do :; done", profile=str(profile))
    assert (spinning.status, spinning.exit["reason"]) == (122, "watchdog")
    resting = root.shell("sleep 2; echo rested", profile=str(profile))
    assert resting.ok().stdout == "rested\n"


# A time-out that leaves a shell the time to set its trap.
SOON = 0.5 * PATIENCE


@pytest.mark.parametrize("launcher", ["user", "root"])
def test_123_the_guardian_is_killed(make_sandbox, launcher: str) -> None:
    sandbox = make_sandbox(launcher)
    report = sandbox.reports / "killed.json"
    process = sandbox.start("/bin/sh", "-c", "echo begun; exec sleep 30", options=["--report", str(report)])
    target = guardian(process.pid)
    assert process.stdout.readline() == b"begun\n"
    os.kill(target, signal.SIGKILL)
    assert process.wait(10) == 123
    assert json.loads(report.read_text())["exit"]["reason"] == "enforcement-lost"


def test_124_timeout_is_term_first(sandbox: Sandbox) -> None:
    """The agent may end well at TERM; the run was over time all the same."""
    result = sandbox.shell("trap 'echo caught; exit 0' TERM; sleep 20 & wait", options=["--timeout", f"{SOON * 1000:g}ms"])
    assert (result.status, result.exit["reason"]) == (124, "timeout")
    assert result.stdout == "caught\n"
    assert result.seconds < SOON + 3.5


def test_124_timeout_is_kill_after_five_seconds(user: Sandbox) -> None:
    result = user.shell("trap '' TERM; while :; do sleep 0.1; done", options=["--timeout", f"{SOON * 1000:g}ms"])
    agrees(result, 124, "timeout", signal.SIGKILL)
    assert SOON + 4.5 < result.seconds < SOON + 8.5


def test_within_the_timeout(user: Sandbox) -> None:
    agrees(user.shell("sleep 0.3; exit 5", options=["--timeout", "30s"]), 5, "exited")


def test_125_nothing_ran(sandbox: Sandbox) -> None:
    result = sandbox.run("/bin/sh", "-c", "echo ran", options=["--ro", "/no/such/place"])
    result.refused("/no/such/place")
    assert "ran" not in result.stdout
    assert result.exit == {"code": 125, "signal": None, "reason": "setup"}
    assert result.report["setup_error"]["message"]


def test_126_not_executable(sandbox: Sandbox) -> None:
    plain = sandbox.write("plain", "#!/bin/sh\nexit 3\n")
    agrees(sandbox.run(str(plain)), 126, "setup")
    agrees(sandbox.run(str(sandbox.workspace)), 126, "setup")
    plain.chmod(0o755)
    agrees(sandbox.run(str(plain)), 3, "exited")


def test_126_outside_of_execute(user: Sandbox) -> None:
    """The profile says from where programs run: not from /tmp."""
    script = "cp /bin/true /tmp/t && chmod 755 /tmp/t; exec /tmp/t"
    assert user.shell(script).status == 126
    assert user.shell(script, profile="agent").status == 0


def test_127_not_found(sandbox: Sandbox) -> None:
    agrees(sandbox.run("/no/such/command"), 127, "setup")
    agrees(sandbox.run("no-such-command-at-all"), 127, "setup")


def test_127_of_an_interpreter_that_is_missing(user: Sandbox) -> None:
    """The kernel answers ENOENT for it, as it does in a shell."""
    user.write("orphan", "#!/no/such/interpreter\n", 0o755)
    agrees(user.run("./orphan"), 127, "setup")


def test_a_script_without_a_first_line_runs_as_in_a_shell(user: Sandbox) -> None:
    user.write("bare", "exit 6\n", 0o755)
    result = user.run("./bare")
    assert result.status in (6, 126)


def test_report_to_standard_output(sandbox: Sandbox) -> None:
    result = sandbox.shell("echo mine; exit 3", options=["--report", "-"], report=False)
    lines = result.stdout.splitlines()
    assert lines[0] == "mine"
    report = json.loads(lines[1])
    assert report["exit"] == {"code": 3, "signal": None, "reason": "exited"}
    assert report["tier"] == sandbox.tier
    assert report["profile"] == "default"
    assert report["command"] == ["/bin/sh", "-c", "echo mine; exit 3"]
    assert report["duration_ms"] >= 0


def test_report_has_every_field(sandbox: Sandbox) -> None:
    report = sandbox.run("/bin/true").report
    assert set(report) == {
        "session", "tier", "profile", "command", "exit", "duration_ms", "verdicts", "denials", "lost_events",
        "unenforced", "level", "resources", "policy",
    }  # fmt: skip
    assert set(report["verdicts"]) == {"allow", "deny", "trace"}
    assert set(report["resources"]) == {"cpu_usec", "memory_peak", "pids_peak"}
    assert set(report["policy"]) == {"base", "hotfix", "whitelist"}
    assert report["level"] == 5
    if sandbox.launcher != "user":
        assert report["resources"]["memory_peak"] > 0
        assert report["resources"]["pids_peak"] >= 2


def test_report_that_cannot_be_written_stops_the_run(user: Sandbox) -> None:
    result = user.run("/bin/sh", "-c", "echo ran", options=["--report", "/no/such/folder/report"], report=False)
    result.refused("/no/such/folder", "--report")
    assert "ran" not in result.stdout


def test_report_replaces_nothing_of_an_agent(user: Sandbox) -> None:
    """The agent swaps the report's name for a link to a file it may not write: the report goes where it was opened."""
    victim = user.write(user.base / "victim", "untouched")
    user.write("report.json", "")
    script = f"rm report.json; ln -s {victim} report.json"
    user.shell(script, options=["--report", str(user.workspace / "report.json")], report=False).ok()
    assert victim.read_text() == "untouched"
