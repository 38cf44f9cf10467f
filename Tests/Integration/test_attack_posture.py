"""C237: ids, capabilities, mounts, limits, filter, umask, environment, namespaces of an agent and of pid 1.

The golden files beside this test say what is right; a change of them is a change of what a sandbox is, and is read as
such in review. MIS_UPDATE_GOLDEN=1 writes them anew."""

import os
import pathlib
import re

import pytest
from attacks.case import LAUNCHERS, covers
from attacks.fixtures import world  # noqa: F401
from attacks.world import World

GOLDEN = pathlib.Path(__file__).parent / "attacks" / "golden"

SCRIPT = r"""
for pid in self 1; do
    echo "[status of $pid]"
    grep -E '^(Uid|Gid|Groups|Cap[A-Z][a-z]+|NoNewPrivs|Seccomp|Seccomp_filters|Umask):' /proc/$pid/status
    cat /proc/$pid/oom_score_adj /proc/$pid/personality 2>/dev/null
    echo "[limits of $pid]"
    grep -E 'core file|open files|file size' /proc/$pid/limits
    echo "[cgroup of $pid]"
    cut -d: -f3- /proc/$pid/cgroup | sort -u
done
echo "[id maps]"
cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups
echo "[mounts]"
cut -d' ' -f4- /proc/self/mountinfo
echo "[devices]"
ls -A /dev
echo "[root]"
ls -A /
echo "[environment]"
env
echo "[network]"
tail -n +3 /proc/net/dev | cut -d: -f1
echo "[name]"
cat /proc/sys/kernel/hostname
"""


def normal(text: str, world: World) -> str:
    """What differs from machine to machine and run to run is taken out; what is left is the product's doing."""
    for value, name in ((str(world.ws), "WORKSPACE"), (str(world.home), "HOME"), (str(world.root), "WORLD")):
        text = text.replace(value, name)
    text = re.sub(r"MIS_SESSION=\S+", "MIS_SESSION=...", text)
    lines, seen = [], ""
    for line in text.splitlines():
        if line.startswith("["):
            seen = line
        if seen == "[mounts]" and not line.startswith("["):
            # root mountpoint options [fields] - type source super-options: the machine's own file system has no say.
            front, _, back = line.partition(" - ")
            _, point, options = front.split()[:3]
            kind = back.split()[0]
            if kind not in ("tmpfs", "proc", "devpts", "devtmpfs"):
                kind = "host"
            if point.startswith("/proc/") and kind == "tmpfs":
                continue  # masks of what this kernel has; C066 and C067 look at each
            if point.startswith(("/etc/", "/run/", "/lib", "/opt", "/sbin", "/bin")):
                continue
            line = f"{point} {','.join(o for o in options.split(',') if o != 'relatime')} {kind}"
        if seen == "[root]" and line in ("opt", "lib32", "libx32", "lib64", "run", "srv"):
            continue
        if seen in ("[id maps]",) or re.match(r"(Uid|Gid):", line):
            line = re.sub(r"\b(1500|1000|18\d{8}|19\d{8})\b", "ID", line)
        lines.append(re.sub(r"\s+", " ", line).strip())
    sections, current = [], []
    for line in lines:
        if line.startswith("["):
            current = [line]
            sections.append(current)
        else:
            current.append(line)
    return "\n".join("\n".join([section[0], *sorted(section[1:])]) for section in sections) + "\n"


@covers("C237", "the posture of an agent and of pid 1, against a golden file", control="none: a comparison")
@covers("C239", "load, memory and processors of the host are visible, as documented", control="none: allowed")
@pytest.mark.parametrize("who", LAUNCHERS)
def test_posture(world: World, who: str):
    result = world.inside(who, ["sh", "-c", SCRIPT], "--limit", "files=1024")
    assert result.status == 0, str(result)
    found, golden = normal(result.out, world), GOLDEN / f"posture-{who}.txt"
    if os.environ.get("MIS_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(found)
    assert found.splitlines() == golden.read_text().splitlines()


@covers("C237", "each namespace is the sandbox's own", control="none: a comparison")
@pytest.mark.parametrize("who", LAUNCHERS)
def test_namespaces(world: World, who: str):
    agent = world.sandbox(who).agent
    for name in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
        assert os.readlink(f"/proc/{agent}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"), name
    # The agent's user namespace owns none of its others: a capability gained there means nothing for them.
    parent = pathlib.Path(f"/proc/{agent}/ns/net")
    assert parent.exists()
