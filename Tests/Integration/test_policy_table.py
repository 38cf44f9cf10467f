"""P(k) at real accesses against a plain model: random whitelists, hotfixes and bases over files and programs."""

import hashlib
import json
import os
import random
from pathlib import Path

import pytest
from harness import Sandbox
from test_policy import Policy

TRY = """
import json, os, subprocess, sys
said = {}
for name, way in json.loads(sys.argv[1]):
    try:
        if way == "execute": subprocess.run(["./" + name], check=True)
        else: os.close(os.open(name, os.O_RDWR if way == "write" else os.O_RDONLY))
        said[f"{name} {way}"] = True
    except OSError as error: said[f"{name} {way}"] = False
print(json.dumps(said))
"""


def keys(path: Path, way: str) -> list[tuple[str, str]]:
    """What an access is asked about: operation and key. Opening for both reads and writes; programs are executed only."""
    status = path.stat()
    values = [f"path:{path}", f"name:{path.name}", f"inode:{os.major(status.st_dev)}:{os.minor(status.st_dev)}:{status.st_ino}"]
    if way == "execute":
        return [("execute", value) for value in values + ["digest:" + hashlib.sha256(path.read_bytes()).hexdigest()]]
    return [(operation, value) for operation in (["read", "write"] if way == "write" else ["read"]) for value in values]


@pytest.mark.parametrize("seed", range(4))
def test_accesses_are_answered_as_the_model_says(root: Sandbox, seed: int) -> None:
    policy = Policy(root)
    chance = random.Random(seed)
    true = Path("/bin/true").read_bytes()
    files = [root.write(f"file{number}", "text") for number in range(20)]
    programs = [root.write(f"program{number}", true + bytes([number]), 0o755) for number in range(10)]
    accesses = [(path, way) for path in files for way in ("read", "write")] + [(path, "execute") for path in programs]
    known = sorted({key for path, way in accesses for key in keys(path, way)})
    layers = {name: set(chance.sample(known, len(known) // share))
              for name, share in (("whitelist", 4), ("hotfix", 12), ("base", 8))}  # fmt: skip
    for kind in ("hotfix", "base"):
        (policy.work / "list.jsonl").write_text("".join(
            json.dumps({"key": key, "operation": operation, "reason": kind}) + "\n" for operation, key in sorted(layers[kind])))  # fmt: skip
        policy("build", "-o", policy.work / "b.mip", "--kind", kind, "--serial", "1", "--key", policy.work / "k.key",
               policy.work / "list.jsonl")  # fmt: skip
        policy("push", policy.work / "b.mip")
    (policy.folder / "whitelist.toml").write_text("".join(
        f'[[allow]]\nkey = "{key}"\noperation = "{operation}"\nreason = "r"\nauthor = "a"\nexpires = "2099-01-01"\n'
        for operation, key in sorted(layers["whitelist"])))  # fmt: skip
    wanted = {
        f"{path.name} {way}": not any(
            key not in layers["whitelist"] and (key in layers["hotfix"] or key in layers["base"])
            for key in keys(path, way))
        for path, way in accesses
    }  # fmt: skip
    profile = root.write("../p.toml", 'extends = ["default"]\n[escalation]\nkill = 0\n')
    result = root.run("/usr/bin/python3", "-c", TRY, json.dumps([(path.name, way) for path, way in accesses]),
                      profile=str(profile)).ok()  # fmt: skip
    assert json.loads(result.stdout) == wanted
    # Both answers are there, or nothing was shown.
    assert {True, False} == set(wanted.values())
    assert sum(entry["count"] for entry in result.report["denials"]) <= list(wanted.values()).count(False)
