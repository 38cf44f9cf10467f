"""Checks a session's folder by what the documentation promises of it, with none of the product's code."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

STREAMS = ("execution", "reasoning", "outcome")
LINE = re.compile(
    rb'\{"seq":(\d+),"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","mono_ns":(\d+),"prev":"([0-9a-f]{64})"[,}].*'
)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def problems(session: Path) -> list[str]:
    """Everything that is not as it should be; an empty list is an intact session."""
    found: list[str] = []
    text = (session / "manifest.json").read_bytes()
    before, name, after = text.rpartition(b'"seal"')
    if not name or after != f': "{digest(before)}"\n}}\n'.encode():
        found.append("manifest.json: the seal does not match")
    manifest = json.loads(text)
    if manifest["session"] != session.name:
        found.append(f"manifest.json: of session {manifest['session']}")
    if manifest["state"] != "ended":
        found.append(f"manifest.json: state {manifest['state']}")
    for stream in STREAMS:
        found += [f"{stream}: {problem}" for problem in _stream(session, stream, manifest)]
    return found


def _stream(session: Path, stream: str, manifest: dict[str, Any]) -> list[str]:
    found: list[str] = []
    data = (session / f"{stream}.jsonl").read_bytes()
    lines = data.split(b"\n")
    if lines.pop() != b"":
        found.append("does not end with a whole line")
    # The chain begins with the stream's own name, so that no stream passes for another.
    head = digest(f"{manifest['session']}/{stream}".encode())
    clock = 0
    for number, line in enumerate(lines):
        header = LINE.fullmatch(line)
        if not header:
            found.append(f"line {number}: not of the form {line[:100]!r}")
            continue
        json.loads(line)
        if int(header[1]) != number:
            found.append(f"line {number}: has number {int(header[1])}")
        if header[3].decode() != head:
            found.append(f"line {number}: does not vouch for the line before it")
        if int(header[2]) < clock:
            found.append(f"line {number}: time goes back")
        clock = int(header[2])
        head = digest(line)
    end = manifest["streams"][stream]
    if (end["count"], end["bytes"], end["head"]) != (len(lines), len(data), head):
        found.append(f"ends with {len(lines)} lines, {len(data)} bytes, head {head}; the manifest says {end}")
    return found
