"""A person at a terminal: a pty whose other end runs a command in a session of its own."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import PATIENCE

CTRL_C, CTRL_D, CTRL_Z, CTRL_BACKSLASH = b"\x03", b"\x04", b"\x1a", b"\x1c"
# What no test shows.
LAST = b"\x1e(all was shown)\x1e"


class Pseudoterminal:
    """Start something in it, type, and wait for what it shows."""

    def __init__(self, rows: int = 24, columns: int = 80) -> None:
        # The test keeps the far end open: settings can be read there when everybody else has left.
        self.near, self.far = pty.openpty()
        self.resize(rows, columns)
        self.shown = b""
        self.seen = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, command: list[Any], *, env: dict[str, str], cwd: Path, **streams: Any) -> subprocess.Popen[bytes]:
        """The terminal is the command's controlling one; its streams are, but for those given."""

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(self.far, termios.TIOCSCTTY, 0)

        wanted = {"stdin": self.far, "stdout": self.far, "stderr": self.far} | streams
        self.process = subprocess.Popen(command, env=env, cwd=cwd, preexec_fn=take_terminal, **wanted)
        return self.process

    def type_keys(self, text: str | bytes) -> None:
        os.write(self.near, text.encode() if isinstance(text, str) else text)

    def read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.near], [], [], seconds)
        if ready:
            self.shown += os.read(self.near, 65536)
        return bool(ready)

    def expect(self, pattern: str, seconds: float = 10) -> re.Match[bytes]:
        """Waits for something not yet waited for."""
        end = time.monotonic() + seconds * PATIENCE
        compiled = re.compile(pattern.encode(), re.DOTALL)
        while True:
            if found := compiled.search(self.shown, self.seen):
                self.seen = found.end()
                return found
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                shown = self.shown[self.seen :]
                raise AssertionError(f"{pattern!r} was not shown in {seconds * PATIENCE:g} s, but: {shown!r}")

    def wait(self, seconds: float = 20) -> int:
        """Its status as a shell's $?, everything shown taken in."""
        assert self.process
        end = time.monotonic() + seconds * PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, f"still running after {seconds * PATIENCE:g} s; shown: {self.shown[-2000:]!r}"
            self.read(0.02)
        while self.read(0.05):
            pass
        # The kernel carries what was written to this end by a thread of its own, which may be late: a mark that is written
        # now comes after it all.
        os.write(self.far, LAST)
        while LAST not in self.shown:
            assert self.read(10 * PATIENCE), f"what was written at last did not arrive: {self.shown[-2000:]!r}"
        self.shown = self.shown.replace(LAST, b"")
        code = self.process.returncode
        return code if code >= 0 else 128 - code

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.far, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.far)

    @property
    def is_raw(self) -> bool:
        return not self.settings[3] & (termios.ICANON | termios.ECHO)

    @property
    def foreground(self) -> int:
        return os.tcgetpgrp(self.near)

    def hang_up(self) -> None:
        os.close(self.near)
        os.close(self.far)
        self.near = self.far = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        if self.near >= 0:
            self.hang_up()
