"""A terminal stays a terminal: seen from inside, and given back as it was on every way out."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from harness import Leftovers, Sandbox, sandbox_init, wait_for
from pseudoterminal import CTRL_C, CTRL_D, CTRL_Z, Pseudoterminal

LOOK = """
import os, sys
for fd in 0, 1, 2:
    name = os.ttyname(fd) if os.isatty(fd) else 'none'
    print(fd, name, end='; ')
own = os.ttyname(next(fd for fd in (0, 1, 2) if os.isatty(fd)))
with open(own, 'w') as again, open('/dev/tty', 'w') as controlling:
    print('rdev', os.fstat(again.fileno()).st_rdev == os.stat(own).st_rdev, file=again)
    print('controlling', os.tcgetpgrp(controlling.fileno()) == os.getpgrp(), file=controlling)
print('pts', sorted(os.listdir('/dev/pts')))
"""


@pytest.fixture
def terminal(leftovers: Leftovers) -> Iterator[Pseudoterminal]:
    with Pseudoterminal() as made:
        yield made


def start(terminal: Pseudoterminal, sandbox: Sandbox, *command: str, **rest) -> subprocess.Popen[bytes]:
    options = rest.pop("options", ["-q"])
    return terminal.start(
        sandbox.command(*command, options=options), env=sandbox.environment, cwd=sandbox.workspace, **rest
    )


def shell(terminal: Pseudoterminal, sandbox: Sandbox) -> None:
    """An interactive shell outside, which runs mis as a person would."""
    command = sandbox.as_caller(["/bin/bash", "--norc", "--noediting", "-i"])
    terminal.start(command, env=sandbox.environment | {"PS1": "READY> ", "MISRUN": f"{sandbox.mis} run -q --"},
                   cwd=sandbox.workspace)  # fmt: skip
    terminal.expect("READY> ")


def test_it_is_a_terminal_inside(terminal: Pseudoterminal, sandbox: Sandbox) -> None:
    start(terminal, sandbox, "/usr/bin/python3", "-c", LOOK)
    assert terminal.wait() == 0, terminal.shown
    shown = terminal.shown.decode()
    assert re.search(r"0 (/dev/pts/\d+); 1 \1; 2 \1;", shown), shown
    assert "rdev True" in shown
    assert "controlling True" in shown
    # The sandbox has a devpts of its own: the terminals of others cannot even be named.
    assert re.search(r"pts \['0', 'ptmx'\]", shown), shown


def test_size_at_start_and_when_it_changes(terminal: Pseudoterminal, sandbox: Sandbox) -> None:
    terminal.resize(37, 111)
    start(
        terminal,
        sandbox,
        "/bin/bash",
        "-c",
        'trap "stty size" WINCH; trap "exit 8" INT; stty size; while :; do sleep 0.1; done',
    )
    terminal.expect("37 111")
    terminal.resize(50, 132)
    terminal.expect("50 132")
    terminal.type_keys(CTRL_C)
    assert terminal.wait() == 8


def test_keys_arrive_as_typed(terminal: Pseudoterminal, user: Sandbox) -> None:
    """In the agent's raw mode no key is swallowed on the way, whatever it means in line mode."""
    keys = bytes(range(1, 256))
    script = (
        "import os, tty; tty.setraw(0); print('raw', flush=True); got = b''\n"
        f"while len(got) < {len(keys)}: got += os.read(0, 999)\n"
        "print(got.hex())"
    )
    start(terminal, user, "/usr/bin/python3", "-c", script)
    terminal.expect("raw")
    terminal.type_keys(keys)
    terminal.expect(keys.hex())
    assert terminal.wait() == 0


def test_line_mode_echo_and_end_of_file(terminal: Pseudoterminal, user: Sandbox) -> None:
    start(terminal, user, "/bin/sh", "-c", "cat; echo over")
    wait_for(lambda: terminal.is_raw, "raw mode")
    terminal.type_keys("hello\r")
    terminal.expect("hello\r\nhello\r\n")
    terminal.type_keys(CTRL_D)
    terminal.expect("over")
    assert terminal.wait() == 0


def test_a_flood_arrives_whole(terminal: Pseudoterminal, user: Sandbox) -> None:
    start(terminal, user, "/usr/bin/seq", "1", "60000")
    assert terminal.wait() == 0
    assert terminal.shown == b"".join(b"%d\r\n" % number for number in range(1, 60001))


def test_interrupt_ends_the_agent_not_its_caller(terminal: Pseudoterminal, sandbox: Sandbox) -> None:
    shell(terminal, sandbox)
    terminal.type_keys("$MISRUN /bin/sh -c 'echo begun; exec sleep 30'; echo status=$?\r")
    terminal.expect("\nbegun")
    terminal.type_keys(CTRL_C)
    terminal.expect("status=130")
    terminal.type_keys("echo still $((40 + 2))\r")
    terminal.expect("still 42")


def test_interrupt_the_agent_handles(terminal: Pseudoterminal, user: Sandbox) -> None:
    start(terminal, user, "/bin/sh", "-c", "trap 'echo handled; exit 4' INT; echo begun; while :; do sleep 0.1; done")
    terminal.expect("begun")
    terminal.type_keys(CTRL_C)
    terminal.expect("handled")
    assert terminal.wait() == 4


def test_suspend_and_resume(terminal: Pseudoterminal, sandbox: Sandbox) -> None:
    shell(terminal, sandbox)
    before = terminal.settings
    terminal.type_keys("$MISRUN /bin/sh -c 'echo begun; read line; echo got $line; exit 6'; echo status=$?\r")
    terminal.expect("\nbegun")
    terminal.type_keys(CTRL_Z)
    terminal.expect("Stopped")
    terminal.expect("READY> ")
    assert terminal.settings == before
    terminal.type_keys("jobs\r")
    terminal.expect(r"\[1\]\+ +Stopped")
    terminal.type_keys("fg\r")
    wait_for(lambda: terminal.is_raw, "raw mode after fg")
    terminal.type_keys("word\r")
    terminal.expect("got word.*READY> ")
    terminal.type_keys("echo last=$?\r")
    terminal.expect("last=6")
    assert terminal.settings == before


def test_suspend_twice_with_a_new_size(terminal: Pseudoterminal, user: Sandbox) -> None:
    shell(terminal, user)
    terminal.type_keys("$MISRUN /bin/sh -c 'echo begun; while read line; do stty size; done'\r")
    terminal.expect("\nbegun")
    for rows, columns in ((30, 90), (31, 91)):
        terminal.type_keys(CTRL_Z)
        terminal.expect("Stopped.*READY> ")
        terminal.resize(rows, columns)
        terminal.type_keys("fg\r")
        wait_for(lambda: terminal.is_raw, "raw mode after fg")
        terminal.type_keys("\r")
        terminal.expect(f"{rows} {columns}")
    terminal.type_keys(CTRL_D)
    terminal.expect("READY> ")


def raw_then(terminal: Pseudoterminal, sandbox: Sandbox, script: str) -> subprocess.Popen[bytes]:
    process = start(terminal, sandbox, "/bin/sh", "-c", f"stty raw -echo; echo begun; {script}")
    terminal.expect("begun")
    wait_for(lambda: terminal.is_raw, "raw mode outside while the agent runs")
    return process


@pytest.mark.parametrize("script,status", [("exit 3", 3), ("kill -SEGV $$", 139), ("kill -KILL $$", 137)])
def test_settings_are_back_after(terminal: Pseudoterminal, user: Sandbox, script: str, status: int) -> None:
    before = terminal.settings
    raw_then(terminal, user, f"until [ -e go ]; do sleep 0.05; done; {script}")
    user.write("go", "")
    assert terminal.wait() == status
    assert terminal.settings == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_settings_are_back_after_a_signal_to_mis(terminal: Pseudoterminal, user: Sandbox, number: int) -> None:
    before = terminal.settings
    process = raw_then(terminal, user, "exec sleep 30")
    process.send_signal(number)
    assert terminal.wait() == 128 + number
    assert terminal.settings == before


def test_settings_are_back_after_a_timeout(terminal: Pseudoterminal, user: Sandbox) -> None:
    before = terminal.settings
    start(terminal, user, "/bin/sleep", "30", options=["-q", "--timeout", "500ms"])
    assert terminal.wait() == 124
    assert terminal.settings == before


def test_settings_are_back_after_a_failed_setup(terminal: Pseudoterminal, user: Sandbox) -> None:
    before = terminal.settings
    start(terminal, user, "/no/such/command")
    assert terminal.wait() == 127
    assert terminal.settings == before
    start(terminal, user, "/bin/true", options=["--ro", "/no/such/place"])
    assert terminal.wait() == 125
    assert terminal.settings == before


def test_settings_are_back_after_pid_1_is_killed(terminal: Pseudoterminal, user: Sandbox) -> None:
    before = terminal.settings
    process = raw_then(terminal, user, "exec sleep 30")
    os.kill(sandbox_init(process.pid), signal.SIGKILL)
    assert terminal.wait() == 137
    assert terminal.settings == before


def test_stdin_is_a_pipe(terminal: Pseudoterminal, user: Sandbox) -> None:
    before = terminal.settings
    process = start(
        terminal, user, "/bin/sh", "-c",
        "read line; echo got $line; tty; test -t 1 && echo out; test -t 0 || echo in-is-none",
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    time.sleep(0.2)
    assert not terminal.is_raw, "nobody reads keys: the terminal stays as it is"
    process.stdin.write(b"from-pipe\n")
    process.stdin.close()
    assert terminal.wait() == 0
    assert terminal.shown.replace(b"\r\n", b"\n") == b"got from-pipe\nnot a tty\nout\nin-is-none\n"
    # One carriage return for each line, not two: only one of the two terminals adds them.
    assert b"\r\r" not in terminal.shown and terminal.shown.count(b"\r\n") == 4
    assert terminal.settings == before


def test_stdout_is_a_pipe(terminal: Pseudoterminal, user: Sandbox) -> None:
    before = terminal.settings
    process = start(
        terminal, user, "/bin/sh", "-c",
        "test -t 0 && echo in; test -t 1 || echo out-is-none; read line; echo got $line",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == b"in\n"
    assert process.stdout.readline() == b"out-is-none\n"
    terminal.type_keys("typed\r")
    assert process.stdout.readline() == b"got typed\n"
    assert terminal.wait() == 0
    process.stdout.close()
    assert terminal.settings == before


def test_interrupt_through_a_pipeline(terminal: Pseudoterminal, user: Sandbox) -> None:
    shell(terminal, user)
    terminal.type_keys("$MISRUN /bin/sh -c 'echo begun; exec sleep 30' | cat; echo statuses=${PIPESTATUS[0]}\r")
    terminal.expect("\nbegun")
    terminal.type_keys(CTRL_C)
    terminal.expect("statuses=130")


def test_in_the_background_the_terminal_is_left_alone(terminal: Pseudoterminal, sandbox: Sandbox) -> None:
    shell(terminal, sandbox)
    before = terminal.settings
    terminal.type_keys("$MISRUN /bin/sh -c 'until [ -e go ]; do sleep 0.05; done; echo from-behind; exit 5' &\r")
    terminal.expect("READY> ")
    for number in range(3):
        terminal.type_keys(f"echo front $((70 + {number}))\r")
        terminal.expect(f"front 7{number}")
        assert terminal.settings == before
    sandbox.write("go", "")
    ending = terminal.expect(r"from-behind(\r*\n)")[1]
    assert ending == b"\r\n", "one carriage return: only one of the two terminals adds it"
    terminal.type_keys("wait %1; echo status=$?\r")
    terminal.expect("status=5")
    assert terminal.settings == before


def bring_to_the_foreground(terminal: Pseudoterminal, word: str) -> None:
    """With the shell's `fg`; then the keys are the agent's, which repeats them."""
    terminal.type_keys("fg\r")
    wait_for(lambda: terminal.is_raw, "raw mode after fg")
    terminal.type_keys(f"{word}\r")
    terminal.expect(f"got {word}")


def test_brought_to_the_foreground(terminal: Pseudoterminal, user: Sandbox) -> None:
    shell(terminal, user)
    terminal.type_keys("$MISRUN /bin/sh -c 'sleep 0.5; read line; echo got $line' &\r")
    terminal.expect("READY> ")
    bring_to_the_foreground(terminal, "word")


def test_brought_to_the_foreground_later(terminal: Pseudoterminal, user: Sandbox) -> None:
    """Long after it began, and again after it was stopped and went on in the background: bash tells a running job nothing."""
    shell(terminal, user)
    terminal.type_keys("$MISRUN /bin/sh -c 'echo be''gun; read line; echo got $line; read line; echo got $line' &\r")
    terminal.expect("begun")
    assert not terminal.is_raw
    bring_to_the_foreground(terminal, "word")
    terminal.type_keys("\x1a")
    terminal.expect("Stopped")
    terminal.expect("READY> ")
    terminal.type_keys("bg\r")
    terminal.expect("READY> ")
    assert not terminal.is_raw
    bring_to_the_foreground(terminal, "another")


def test_hanging_up_ends_it(terminal: Pseudoterminal, sandbox: Sandbox, leftovers: Leftovers) -> None:
    process = start(terminal, sandbox, "/bin/sh", "-c", "echo begun; exec sleep 30")
    terminal.expect("begun")
    terminal.hang_up()
    assert process.wait(10) != 0
    leftovers.none_within(2)


def test_keys_cannot_be_pushed_into_the_callers_terminal(terminal: Pseudoterminal, user: Sandbox) -> None:
    """TIOCSTI, refused; ordinary output from the same program arrives."""
    script = (
        "import fcntl, termios\n"
        "for byte in b'id\\n':\n"
        "    try: fcntl.ioctl(0, termios.TIOCSTI, bytes([byte])); print('pushed')\n"
        "    except OSError as error: print('refused', error.errno)\n"
    )
    start(terminal, user, "/usr/bin/python3", "-c", script)
    assert terminal.wait() == 0
    assert b"pushed" not in terminal.shown and terminal.shown.count(b"refused") == 3


@pytest.mark.parametrize("env,coloured", [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False),
                                          ({"TERM": "xterm", "NO_COLOR": "1"}, False)])  # fmt: skip
def test_doctor_in_colours(terminal: Pseudoterminal, sandbox: Sandbox, env: dict[str, str], coloured: bool) -> None:
    terminal.start(sandbox.as_caller([sandbox.mis, "doctor"]), env=sandbox.environment | env, cwd=sandbox.workspace)
    terminal.wait()
    assert b"namespaces" in terminal.shown
    assert (b"\x1b[32m" in terminal.shown) == coloured, terminal.shown
