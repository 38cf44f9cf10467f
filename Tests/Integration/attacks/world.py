"""The ground the attacks stand on: folders of the test's own, the programs, the sandbox, a container without one."""

from __future__ import annotations

import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import stat
import struct
import subprocess
import time

from harness import PATIENCE, children, sandbox_init

from .case import Case

HERE = pathlib.Path(__file__).parent
USER = 1500
TOKEN_TEXT = "attack-token-"


def mis() -> str:
    """The binary under test."""
    return os.environ.get("MIS", "mis")


class Result:
    """What an attack program said."""

    def __init__(self, status: int, out: str, err: str):
        self.status, self.out, self.err = status, out, err
        self.steps: dict[str, str] = {}
        self.near: dict[str, str] = {}
        for line in out.splitlines():
            match = re.fullmatch(r"(step|near) (.+) (\S+)", line.strip("\r"))
            if match:
                (self.steps if match[1] == "step" else self.near)[match[2]] = match[3]
        self.done = "done" in out.replace("\r", "").splitlines()

    def __str__(self):
        return f"status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class World:
    """One session's folders, below /srv so that they are on a disk and an ordinary user reaches them."""

    def __init__(self):
        self.token = TOKEN_TEXT + secrets.token_hex(8)
        self.root = pathlib.Path(f"/srv/mis-attack-{os.getpid()}")
        self.ws = self.root / "ws"
        self.home = self.root / "home"
        self.hidden = self.root / "hidden"
        self.ro = self.root / "ro"
        self.state = pathlib.Path(f"{self.root}-state")
        self.host_tmp = pathlib.Path(f"/tmp/mis-attack-{os.getpid()}")
        self.filters: dict[str, pathlib.Path] = {}
        self.built: dict[str, pathlib.Path] = {}
        self.live: dict[str, LiveSandbox] = {}
        self.neighbour: subprocess.Popen | None = None

    def make(self) -> None:
        self.remove_of_the_dead()
        for folder in (self.ws, self.home, self.hidden, self.ro, self.state, self.ro / "empty", self.ws / "mountpoint"):
            folder.mkdir(parents=True, exist_ok=True)
        for path in (
            self.hidden / "secret.txt",
            self.ws / "denied.txt",
            self.host_tmp,
            self.ws / "deny-folder" / "a",
            self.ws / ".env",
            self.ws / "below" / ".env",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.token)
            path.chmod(0o666)
        for name in ("file.txt", "second.txt", "kept.txt"):
            (self.ro / name).write_text("as it was")
            (self.ro / name).chmod(0o666)
        for path in (".ssh/id_ed25519", ".aws/credentials", ".netrc", ".bash_history", ".kube/config"):
            (self.home / path).parent.mkdir(parents=True, exist_ok=True)
            (self.home / path).write_text(self.token)
        (self.root / "bin").mkdir()
        (self.root / "profile.toml").write_text(
            'name = "attack"\nextends = ["default"]\n[escalation]\nkill = 0\n[limits]\npids = 256\n'
        )
        (self.root / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\nattack:x:{USER}:{USER}::{self.home}:/bin/sh\n")
        os.mknod(self.ws / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (self.ws / "device").chmod(0o666)
        for folder in (self.ro, self.ws, self.ws / "deny-folder"):
            shutil.copy2("/bin/true", folder / "true")
        for path in [
            self.ws,
            self.home,
            self.ro,
            self.state,
            *self.ws.rglob("*"),
            *self.home.rglob("*"),
            *self.ro.rglob("*"),
        ]:
            os.chown(path, USER, USER, follow_symlinks=False)
        # Folders whose names only begin like the workspace's.
        for tail in ("-evil", "2", "\u00a0", "."):
            beside = self.root / f"ws{tail}"
            beside.mkdir()
            (beside / "secret.txt").write_text(self.token)
            os.chown(beside, USER, USER)
        self.root.chmod(0o755)
        for folder, name, owner in ((self.ws, "disk-group.txt", 6),):
            (folder / name).write_text(self.token)
            os.chown(folder / name, 0, owner)
            (folder / name).chmod(0o640)

    @staticmethod
    def remove_of_the_dead() -> None:
        """What a session left that was killed."""
        for path in (*pathlib.Path("/srv").glob("mis-attack-*"), *pathlib.Path("/tmp").glob("mis-attack-*")):
            number = re.fullmatch(r"mis-attack-(\d+)(-state)?", path.name)
            if number and not os.path.exists(f"/proc/{number[1]}"):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def rest(self) -> None:
        """Ends the processes; they are started again when they are needed."""
        for sandbox in self.live.values():
            sandbox.end()
        self.live.clear()
        if self.neighbour:
            self.neighbour.kill()
            self.neighbour.wait()
            self.neighbour = None
            self.ipc_objects("forget")

    def remove(self) -> None:
        self.rest()
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)
        self.host_tmp.unlink(missing_ok=True)

    # The programs

    def program(self, name: str, *flags: str) -> pathlib.Path:
        """Compiles an attack program; it stands where both the sandbox and the container run it."""
        key = " ".join((name, *flags))
        if key not in self.built:
            output = self.root / "bin" / re.sub(r"\W+", "-", key)
            subprocess.run(
                ["gcc", "-O1", "-w", "-pthread", *flags, "-o", output, HERE / "programs" / f"{name}.c"],
                check=True,
                timeout=60 * PATIENCE,
            )
            self.built[key] = output
        return self.built[key]

    def arguments(self, case: Case) -> list[str]:
        values = {
            "ws": self.ws,
            "home": self.home,
            "hidden": self.hidden / "secret.txt",
            "hidden_folder": self.hidden,
            "ro": self.ro,
            "token": self.token,
            "host_tmp": self.host_tmp,
            "root": self.root,
            "denied": self.ws / "denied.txt",
            "mountpoint": self.ws / "mountpoint",
            "user": USER,
            "setuid": self.ws / "become",
            "capable": self.ws / "capable",
            "group_file": self.ws / "disk-group.txt",
            "pid": self.neighbour.pid if self.neighbour else 0,
            "unlisted": self.ro / "true",
            "listed": self.ws / "true",
            "machine": pathlib.Path("/etc/machine-id").read_text().strip(),
            "denied_program": self.ws / "deny-folder" / "true",
        }
        return [f"{name}={value}" for name, value in values.items()] + [
            argument.format(**values) for argument in case.arguments
        ]

    # The sandbox

    def launcher(self, who: str) -> tuple[list[str], dict[str, str]]:
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "MIS_STATE_DIR": str(self.state / who),
        }
        if who == "user":
            return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"], environment
        if who == "sudo":
            # The account behind SUDO_UID, in a passwd that only this launch sees.
            environment |= {"SUDO_UID": str(USER), "SUDO_GID": str(USER), "SUDO_USER": "attack", "HOME": "/root"}
            return [
                "unshare",
                "--mount",
                "--propagation",
                "slave",
                "sh",
                "-c",
                'mount --bind "$0" /etc/passwd && exec "$@"',
                str(self.root / "passwd"),
            ], environment
        return [], environment

    def command(self, who: str, *options: str) -> tuple[list[str], dict[str, str]]:
        prefix, environment = self.launcher(who)
        return [
            *prefix,
            mis(),
            "run",
            "-q",
            "-p",
            str(self.root / "profile.toml"),
            "-w",
            str(self.ws),
            "--ro",
            str(self.root / "bin"),
            "--ro",
            str(self.ro),
            "--deny",
            str(self.ws / "denied.txt"),
            "--deny",
            str(self.ws / "deny-folder"),
            *options,
        ], environment

    def inside(self, who: str, command: list, *options: str, seconds: float = 20, text: str | None = None) -> Result:
        """Runs a command in a sandbox."""
        start, environment = self.command(who, *options)
        return bounded([*start, "--", *map(str, command)], environment, seconds, text, cwd=self.ws)

    def attack(self, case: Case, who: str) -> Result:
        self.prepare()
        program = self.program(case.program)
        options = [option.format(root=self.root, ws=self.ws) for option in case.options]
        return self.inside(
            who, [self.here(program), case.number, *self.arguments(case)], *options, seconds=case.seconds
        )

    def here(self, program: pathlib.Path) -> pathlib.Path:
        """The program's copy in the workspace, from where programs run."""
        copy = self.ws / program.name
        if not copy.exists() or copy.stat().st_mtime < program.stat().st_mtime:
            fresh = self.ws / f"{program.name}.fresh"
            shutil.copy2(program, fresh)
            os.chown(fresh, USER, USER)
            fresh.rename(copy)
        return copy

    def prepare(self) -> None:
        """A set-uid root program, one with a capability, and a process that looks like the user's."""
        if self.neighbour:
            return
        become, capable = self.here(self.program("become")), self.here(self.program("capable"))
        os.chown(become, 0, 0)
        become.chmod(0o4755)
        # struct vfs_cap_data, version 2, effective: CAP_NET_RAW is bit 13.
        os.setxattr(capable, "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
        self.neighbour = subprocess.Popen(
            [self.here(self.program("neighbour")), self.token],
            env={"ATTACK_SECRET": self.token},
            user=USER,
            group=USER,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
        )
        self.ipc_objects("keep")

    def ipc_objects(self, deed: str) -> None:
        """Makes (keep) or removes (forget) the IPC objects of the host that an attack looks for."""
        program = self.here(self.program("network"))
        subprocess.run([program, deed], check=True, timeout=10 * PATIENCE, stdout=subprocess.DEVNULL)

    @staticmethod
    def writable(folder: pathlib.Path) -> None:
        """For whoever starts a sandbox."""
        os.chown(folder, USER, USER)

    # Without the sandbox

    def arena(self, command: list, *, seconds: float = 20, prepare: str = "", text: str | None = None) -> Result:
        """Runs a command as root, with every capability, in namespaces that end with it.

        The machine's files are there and cannot be written; of the world's own folder there is a copy."""
        script = f"""
            set -e
            mount -t tmpfs -o size=256m,mode=0755 none /media
            cp -a {self.root}/. /media/
            mount --bind /media {self.root}
            mount -t tmpfs -o size=64m none /dev/shm
            mount -o remount,bind,ro /
            {prepare}
            cd {self.ws}
            exec "$@"
        """
        full = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--net",
            "--ipc",
            "--uts",
            "--cgroup",
            "--mount-proc",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "arena",
            *map(str, command),
        ]
        return bounded(
            full, {"PATH": os.environ["PATH"], "HOME": str(self.home), "ATTACK_SECRET": self.token}, seconds, text
        )

    def control(self, case: Case) -> Result:
        self.prepare()
        return self.arena(
            [self.here(self.program(case.program)), case.number, *self.arguments(case)],
            seconds=case.seconds,
            prepare="\n".join(step.format(root=self.root, ws=self.ws, home=self.home) for step in case.arena),
        )

    def alone(self, case: Case, layer: str) -> Result:
        """Runs the attack with one layer, and nothing else, in its way."""
        self.prepare()
        command = [self.here(self.program(case.program)), case.number, *self.arguments(case)]
        tool = self.program("layer")
        prepare = "\n".join(step.format(root=self.root, ws=self.ws, home=self.home) for step in case.arena)
        if layer == "seccomp":
            return self.arena([tool, "filter", self.filter(), *command], prepare=prepare, seconds=case.seconds)
        if layer == "landlock":
            return self.arena([tool, "landlock", self.landlock(), *command], prepare=prepare, seconds=case.seconds)
        if layer == "capabilities":
            return self.arena([tool, "capabilities", *command], prepare=prepare, seconds=case.seconds)
        if layer == "user":
            return self.arena(
                ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command],
                prepare=prepare,
                seconds=case.seconds,
            )
        if layer == "no new privileges":
            return self.arena(["setpriv", "--no-new-privs", *command], prepare=prepare, seconds=case.seconds)
        flags = {
            "view": ["--mount"],
            "pid namespace": ["--mount", "--pid"],
            "network namespace": ["--net"],
            "ipc namespace": ["--ipc"],
            "uts namespace": ["--uts"],
            "user namespace": ["--user", "--preserve-credentials"],
        }[layer]
        return bounded(
            ["nsenter", "--target", str(self.sandbox("user").agent), *flags, "--", *map(str, command)],
            {"PATH": os.environ["PATH"]},
            case.seconds,
            None,
        )

    # Layers of a real sandbox, to be put on alone

    def sandbox(self, who: str) -> "LiveSandbox":
        """A sandbox that waits, whose namespaces and filter are looked at."""
        if who not in self.live or self.live[who].process.poll() is not None:
            self.live[who] = LiveSandbox(self, who)
        return self.live[who]

    def filter(self) -> pathlib.Path:
        """The system-call filter of a running sandbox, as the kernel has it."""
        path = self.root / "filter.bpf"
        if not path.exists():
            path.write_bytes(
                subprocess.run(
                    [self.program("layer"), "dump", str(self.sandbox("user").agent)],
                    check=True,
                    capture_output=True,
                    timeout=10 * PATIENCE,
                ).stdout
            )
        return path

    def landlock(self) -> pathlib.Path:
        """The Landlock rules of the sandbox's plan."""
        path = self.root / "landlock.rules"
        if not path.exists():
            start, environment = self.command("user", "--dry-run", "--json")
            answer = bounded([*start, "--", "true"], environment, 10, None, cwd=self.ws)
            rules = json.loads(answer.out)["landlock"]
            # Every right and every scope this kernel knows is handled; what is handled and not given is refused.
            path.write_text(
                "\n".join([f"{(1 << 16) - 1} 3"] + [f"{rule['access']} {rule['path']}" for rule in rules]) + "\n"
            )
        return path


class LiveSandbox:
    """`mis run` around a program that waits for its stdin to end."""

    def __init__(self, world: World, who: str, *options: str):
        start, environment = world.command(who, *options)
        self.process = subprocess.Popen(
            [*start, "--", str(world.here(world.program("mounts"))), "wait"],
            env=environment,
            cwd=world.ws,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        if line.strip() != "ready":
            self.process.kill()
            raise AssertionError(f"no sandbox: {line}{self.process.stderr.read()}")
        # Launcher, init, agent.
        self.agent = children(sandbox_init(self.process.pid))[-1]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def bounded(command, environment, seconds, text, cwd=None) -> Result:
    """Runs a command in a session of its own that is killed when the time is over."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        cwd=cwd,
        start_new_session=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, err = process.communicate(text, timeout=seconds * PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        return Result(-1, out, f"{err}\nkilled after {seconds * PATIENCE:g} s")
    return Result(process.returncode, out, err)


def wait_until(condition, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())
