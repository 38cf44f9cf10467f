"""Classes K and M, as far as namespaces go: the host's network and IPC are not there."""

import os
import pathlib
import shutil
import socket
import subprocess
import threading

import pytest
from attacks.case import LAUNCHERS, Case, covers
from attacks.fixtures import world  # noqa: F401
from attacks.suite import attack_tests
from attacks.world import World, bounded
from harness import PATIENCE

IN_TIER_BPF = os.environ.get("MIS_ROOT_TIER") == "bpf"

CASES = [
    Case(
        "C149",
        "TCP and UDP to addresses, IPv6, multicast, broadcast (C150, C151, C156)",
        "network",
        layers=("network namespace",),
        # EPERM in tier bpf: the address is refused before a way to it is looked for.
        expected={"": "ENETUNREACH|ECONNREFUSED|EADDRNOTAVAIL|EACCES" + ("|EPERM" if IN_TIER_BPF else "")},
        # Invented addresses in the container's own network: nothing leaves the machine.
        arena=("ip link set lo up; ip route add default dev lo; ip -6 route add default dev lo",),
    ),
    Case(
        "C152",
        "ping and raw sockets",
        "network",
        layers={"capabilities": "raw", "user": "raw"},
        expected={"": "EPERM|EACCES"},
        unreached="ping",
        arena=("ip link set lo up",),
    ),
    Case(
        "C185",
        "SysV and POSIX IPC of the host",
        "network",
        layers=("ipc namespace",),
        expected={"": "ENOENT"},
        arena=("{ws}/network keep",),
    ),
    Case(
        "C238",
        "host name, machine id, user names",
        "network",
        layers={"uts namespace": "^host", "view": "machine|names"},
        arguments=("machine={machine}",),
        expected={"": "ENODATA|ENOENT"},
        arena=("hostname attack-host-name",),
    ),
]

test_control, test_inside, test_layer = attack_tests(CASES)


@covers("C154", "a service of the host on its loopback", ("network namespace",))
@covers("C157", "abstract sockets of the host", ("network namespace", "landlock"))
@covers("C179", "sockets of the host's services by path", ("view",))
@pytest.mark.parametrize("who", ("control", *LAUNCHERS))
def test_services(world: World, who: str):
    tcp, abstract, named = socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    path = world.hidden / "service.sock"
    path.unlink(missing_ok=True)
    try:
        tcp.bind(("127.0.0.1", 0))
        abstract.bind(f"\0mis-attack-{id(world)}")
        named.bind(str(path))
        path.chmod(0o777)
        for each in (tcp, abstract, named):
            each.listen(8)
        program = [
            world.here(world.program("network")),
            "C154",
            f"port={tcp.getsockname()[1]}",
            f"abstract=mis-attack-{id(world)}",
            f"path={path}",
        ]
        if who == "control":
            result = bounded(program, {"PATH": "/usr/bin"}, 20, None)
            assert set(result.steps.values()) == {"ok"} and result.done, str(result)
        else:
            result = world.inside(who, program)
            assert result.done and set(result.near.values()) == {"ok"}, str(result)
            assert result.steps == {
                "TCP": "ECONNREFUSED",
                "abstract socket": result.steps["abstract socket"],
                "socket by path": "ENOENT",
            }, str(result)
            assert result.steps["abstract socket"] in ("ECONNREFUSED", "EPERM"), str(result)
    finally:
        for each in (tcp, abstract, named):
            each.close()
        path.unlink(missing_ok=True)


@covers("C155", "a port opened inside, from the host", ("network namespace",))
@pytest.mark.parametrize("who", ("control", *LAUNCHERS))
def test_ports_inside(world: World, who: str):
    program = [str(world.here(world.program("network"))), "C155"]
    command, environment = world.command(who, "--") if who != "control" else ([], {})
    process = subprocess.Popen(
        [*command, *program], env=environment, cwd=world.ws, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(15 * PATIENCE, process.kill)
    watchdog.start()
    try:
        port = int(process.stdout.readline().split()[-1])
        with socket.socket() as client:
            client.settimeout(2)
            reached = client.connect_ex(("127.0.0.1", port)) == 0
    finally:
        watchdog.cancel()
        process.stdin.close()
        process.wait(10 * PATIENCE)
        process.stdout.close()
    assert reached == (who == "control")


@covers("C008", "mounts made after the start, in both directions", ("view",))
@pytest.mark.parametrize("who", ("control", "user", "root"))
def test_mount_propagation(world: World, who: str):
    """A shared mount of the test's own holds the folder; a second mount is laid into it while the sandbox runs."""
    shared = world.ws / "mountpoint"
    program = [str(world.here(world.program("mounts"))), "C008", f"shared={shared}"]
    command, environment = (
        world.command(who, "--")
        if who != "control"
        else (["unshare", "--mount", "--propagation", "unchanged"], {"PATH": "/usr/bin:/bin:/usr/sbin"})
    )
    # Of the disk: before Linux 6.3 a tmpfs takes no map of owners, and root's sandbox would not start.
    subprocess.run(["mount", "--bind", shared, shared], check=True)
    subprocess.run(["mount", "--make-shared", shared], check=True)
    process = None
    try:
        shared.chmod(0o777)
        process = subprocess.Popen(
            [*command, *program],
            env=environment,
            cwd=world.ws,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline().strip() == "ready"
        (shared / "inside-the-mount").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", shared / "inside-the-mount"], check=True)
        (shared / "inside-the-mount" / "file").write_text("x")
        # The folder itself is in the shared file system; the file only in the mount that came later.
        out = process.communicate("go\n", timeout=15 * PATIENCE)[0]
        assert "near folder ok" in out, out
        assert ("step new mount ok" in out) == (who == "control"), out
        places = [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
        assert [place for place in places if place.startswith(str(shared))] == [
            str(shared), str(shared / "inside-the-mount"),
        ], "a mount of the sandbox has reached the host"
    finally:
        if process and process.poll() is None:
            process.kill()
            process.wait()
        subprocess.run(["umount", "-R", "-l", shared], check=True)
        shutil.rmtree(shared / "inside-the-mount", ignore_errors=True)
