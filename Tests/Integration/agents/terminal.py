"""A real terminal to run programs in, looked at from outside: tmux, which answers a program's questions about the
terminal, keeps what is on the screen as text, and says which modes the program left switched on."""

import re
import shlex
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

# Modes a program may leave on behind it, as tmux names them, and their values in a terminal nobody has touched.
UNTOUCHED = {
    "alternate_on": "0",
    "cursor_flag": "1",
    "insert_flag": "0",
    "keypad_cursor_flag": "0",
    "keypad_flag": "0",
    "mouse_any_flag": "0",
    "mouse_sgr_flag": "0",
    "origin_flag": "0",
    "wrap_flag": "1",
}


class Terminal:
    """A tmux server of its own with one shell in it. Use as a context manager; leaving it ends the server."""

    def __init__(self, folder: Path, environment: dict[str, str], columns: int, rows: int) -> None:
        self.folder = folder
        self._socket = folder / "tmux"
        self._environment = environment
        # --noediting: a line editor would set the terminal up for itself at each prompt, and hide what a program left
        # behind. --norc: the prompt is the one below. env -i: nothing of tmux's own surroundings gets in.
        words = [f"{name}={value}" for name, value in environment.items()]
        words += ["TERM=tmux-256color", "PS1=ready> "]
        shell = shlex.join(["exec", "env", "-i", *words, "/bin/bash", "--norc", "--noediting"])
        self._tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), shell, start=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        subprocess.run(["tmux", "-S", str(self._socket), "kill-server"], capture_output=True, timeout=20)

    def _tmux(self, *arguments: str, start: bool = False) -> str:
        # -f /dev/null: the user's tmux.conf is not part of the test.
        command = ["tmux", "-S", str(self._socket), *(["-f", "/dev/null"] if start else []), *arguments]
        return subprocess.run(command, env={**self._environment, "TERM": "xterm-256color"}, check=True,
                              capture_output=True, text=True, timeout=20).stdout

    def type(self, text: str) -> None:
        """Type a text, see it on the screen, and press Enter. A program that reads both at once takes them for a paste
        with a line break in it; a busy one does that however long the pause between them is."""
        self.begin(text)
        time.sleep(0.2)
        self.press("Enter")

    def begin(self, text: str) -> None:
        """Type a text and see it on the screen."""
        self._tmux("send-keys", "-l", text)
        self.wait(re.escape(text[-20:]), joined=True)

    def press(self, key: str) -> None:
        """Press a key by tmux's name for it: Enter, C-c, C-d, Escape."""
        self._tmux("send-keys", key)

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self, joined: bool = False) -> str:
        """What is on the screen, trailing blanks removed; lines that the terminal wrapped are joined if asked."""
        return self._tmux("capture-pane", "-pJ" if joined else "-p")

    def modes(self) -> dict[str, str]:
        shown = "\n".join(f"{name}=#{{{name}}}" for name in UNTOUCHED)
        return dict(line.split("=", 1) for line in self._tmux("display-message", "-p", shown).splitlines())

    def wait(self, pattern: str, seconds: float = 30, joined: bool = False) -> str:
        """Wait until a pattern is on the screen, and return the screen. A screen without it is the failure's text."""
        end = time.monotonic() + seconds
        while True:
            shown = self.screen(joined)
            if re.search(pattern, shown.rstrip(), re.MULTILINE):
                return shown
            if time.monotonic() > end:
                raise AssertionError(f"no {pattern!r} within {seconds} s on the screen:\n{shown}\n{self.threads()}")
            time.sleep(0.1)

    def threads(self) -> str:
        """The shell's descendants, a line a thread: what each is doing or waiting for in the kernel."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        listed = subprocess.run(["ps", "-eLo", "pid,ppid,pgid,sid,tpgid,tid,stat,wchan:24,comm"], check=True,
                                capture_output=True, text=True, timeout=20).stdout.splitlines()
        known, told = {shell}, [listed[0]]
        # Parents before children, but where numbers have been used up: as often as it takes.
        for _ in range(8):
            known |= {line.split()[0] for line in listed[1:] if line.split()[1] in known}
        told += [line for line in listed[1:] if line.split()[0] in known]
        return "\n".join(told)

    def command(self, line: str) -> str:
        """Run a command line in the shell, and return what it wrote."""
        answer = self.folder / "answer"
        done = self.folder / "answered"
        done.unlink(missing_ok=True)
        self.type(f" {{ {line}; }} > {answer} 2>&1; touch {done}")
        end = time.monotonic() + 30
        while not done.exists():
            if time.monotonic() > end:
                raise AssertionError(f"the shell does not answer {line!r}; on the screen:\n{self.screen()}")
            time.sleep(0.05)
        return answer.read_text()
