"""Profiles and arguments of random bytes: mis must answer each with a sentence and an exit status, never with a crash.

    fuzz.py [--seconds N] [--seed N]

Cases are made from the built-in profiles and from real command lines by small changes. The seed is printed; the same
seed makes the same cases. Prints TAP.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIS = os.environ["MIS"]

WORDS = [b"[", b"]", b"[[", b'"', b"'''", b"=", b",", b"#", b"\n", b"\r", b"\0", b"\xff", b"\xf0\x9f\xa6\x80", b"\xe2\x80\xae",
         b"~", b"${", b"${HOME}", b"${NOPE}", b"**/", b"/", b"/..", b"*", b"?", b"-1", b"99999999999999999999", b"1e400",
         b"nan", b"true", b"0x7f", b"1979-05-27T07:32:00Z", b"name", b"extends", b"filesystem", b"limits.memory", b"2G",
         b"100%", b"\\u0000", b"\\ud800", b"{", b"}", b"."]

OPTIONS = ["-p", "--profile", "-w", "--ro", "--rw", "--deny", "--bind", "--net", "--env", "--limit", "--timeout", "--require",
           "--record", "--report", "--dry-run", "--json", "-q", "-v", "--force-workspace", "--", "-x", "--nosuch", "-"]
VALUES = ["", "-", "--", ".", "..", "/", "//", "~", "/nonexistent/x", "/proc/self/fd/0", "/dev/null", "a:b", ":", "a:b:ro",
          ":::", "memory=1", "memory=", "=1", "pids=-1", "cpu=999999999999999%", "none", "host", "bpf", "0s", "-1s",
          "99999999999999999h", "NAME", "NAME=", "=x", "**/.env", "default", "agent", "x" * 300, "\u202e", "é", "\n", "%s%n"]

# Statuses of mis itself. 64 is the argument parser's.
EXPECTED = {0, 1, 64, 125, 126, 127}


def changed(seed: bytes, chance: random.Random) -> bytes:
    """A profile with a few small wounds."""
    text = bytearray(seed)
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(6):
            case 0:
                text[at:at] = chance.choice(WORDS)
            case 1:
                del text[at:at + chance.randrange(1, 40)]
            case 2:
                text[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 12)))
            case 3:
                begin = chance.randrange(len(text) + 1)
                text[at:at] = text[begin:begin + chance.randrange(1, 200)]
            case 4 if at < len(text):
                text[at] ^= 1 << chance.randrange(8)
            case _:
                text[at:at] = chance.choice(WORDS) * chance.choice([2, 50, 2000])
    return bytes(text)


def run(words: list[str], folder: Path) -> tuple[int, str]:
    """A negative status is a signal; 124 here means that it hung."""
    try:
        done = subprocess.run([MIS, *words], cwd=folder / "work", stdin=subprocess.DEVNULL, capture_output=True, timeout=20,
                              env={"PATH": "/usr/bin:/bin", "HOME": str(folder / "home"),
                                   "MIS_STATE_DIR": str(folder / "state")})
    except subprocess.TimeoutExpired:
        return 124, "no answer for 20 s"
    return done.returncode, done.stderr.decode(errors="replace")


def profile_case(chance: random.Random, folder: Path, seeds: list[bytes]) -> tuple[bool, str]:
    """One broken profile. What check accepts, a dry run has to be able to plan or to refuse."""
    text = changed(chance.choice(seeds), chance)
    path = folder / "case.toml"
    path.write_bytes(text)
    for words in (["profile", "check", str(path)], ["run", "-p", str(path), "--dry-run", "--", "true"]):
        status, said = run(words, folder)
        if status not in EXPECTED or (status != 0 and not said.strip()):
            return False, f"status {status} for {words}: {said[-400:]!r}\n{text!r}"
    return True, ""


def argument_case(chance: random.Random, folder: Path, seeds: list[bytes]) -> tuple[bool, str]:
    words = ["run", "--dry-run"]
    for _ in range(chance.randrange(1, 6)):
        words.append(chance.choice(OPTIONS))
        if chance.random() < 0.8:
            words.append(chance.choice(VALUES))
    words += ["--", "true"]
    status, said = run(words, folder)
    if status not in EXPECTED or (status not in (0, 127) and not said.strip()):
        return False, f"status {status} for {words}: {said[-400:]!r}"
    return True, ""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    options = parser.parse_args()
    seeds = [path.read_bytes() for path in sorted((ROOT / "profiles").glob("*.toml"))]
    kinds: list[tuple[str, Callable[[random.Random, Path, list[bytes]], tuple[bool, str]]]] = [
        ("profiles", profile_case), ("arguments", argument_case)]
    failed = False
    print(f"# seed {options.seed}")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        for part in ("work", "home"):
            (folder / part).mkdir()
        for number, (what, case) in enumerate(kinds, 1):
            chance = random.Random(f"{options.seed} {what}")
            count = 0
            trouble = ""
            end = time.monotonic() + options.seconds / len(kinds)
            while time.monotonic() < end and not trouble:
                count += 1
                fine, trouble = case(chance, folder, seeds)
            failed = failed or bool(trouble)
            print(f"{'not ok' if trouble else 'ok'} {number} - {count} {what} of random bytes")
            for line in trouble.splitlines():
                print(f"# {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
