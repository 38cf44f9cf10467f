"""What the tests of policy delivery stand on: an authority, a web server that does what a test says, mosquitto, and a scripted
broker. Everything on loopback, on ports the kernel chose, ended by the test that started it."""

import http.server
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from harness import wait_for

THREAT = '{"key":"name:evil","reason":"known bad"}\n'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Authority:
    """Certificates of openssl's making."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        self._openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj",
                      "/CN=tests", "-days", "2")  # fmt: skip
        self.ca = folder / "ca.pem"

    def _openssl(self, *words: str, at: str | None = None) -> None:
        before = ["faketime", at] if at else []
        subprocess.run([*before, "openssl", *words], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def certificate(self, name: str, names: str = "IP:127.0.0.1", at: str | None = None) -> tuple[Path, Path]:
        """A certificate and its key; `at`: a day on which it was made, to be valid for two."""
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        if not cert.exists():
            (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
            self._openssl("req", "-newkey", "ed25519", "-nodes", "-keyout", key.name, "-out", f"{name}.csr", "-subj",
                          f"/CN={name}")  # fmt: skip
            self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                          "-out", cert.name, "-days", "2", "-extfile", f"{name}.ext", at=at)  # fmt: skip
            key.chmod(0o644)
        return cert, key


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        web: Web = self.server.web  # type: ignore[attr-defined]
        web.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        try:
            web.answers.get(self.path, not_found)(self)
        except (OSError, ssl.SSLError):
            self.close_connection = True

    def give(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def not_found(handler: Handler) -> None:
    handler.give(404)


def file(path: Path, **headers: str) -> Callable[[Handler], None]:
    return lambda handler: handler.give(200, path.read_bytes(), **headers)


class Web:
    """A TLS server; what it answers is what `answers` says of the path."""

    def __init__(self, certificate: tuple[Path, Path], client_ca: Path | None = None):
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request: Any, address: Any) -> None:
                # In the connection's own thread: a client that refuses the certificate stops nobody else.
                try:
                    request.settimeout(60)
                    super().finish_request(context.wrap_socket(request, server_side=True), address)
                except (OSError, ssl.SSLError):
                    pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.web = self  # type: ignore[attr-defined]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.server.server_address[1]}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Broker:
    """mosquitto."""

    def __init__(self, folder: Path, *settings: str, scheme: str = "mqtt"):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        # mosquitto gives up root, and its rights with it.
        folder.chmod(0o755)
        self.port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.file = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "user root", "persistence false", *settings]
        if not any(line.startswith("allow_anonymous") for line in settings):
            lines.append("allow_anonymous true")
        self.file.write_text("\n".join(lines) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Broker":
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
        assert program, "mosquitto is not installed: scripts/packages test"
        with open(self.folder / "mosquitto.log", "ab") as log:
            self.process = subprocess.Popen([program, "-c", self.file], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for(lambda: socket_opens(self.port), "mosquitto's port")
        return self

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def socket_opens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


class ScriptedBroker:
    """Answers each connection with what `script` does with its socket; for what mosquitto would never do."""

    def __init__(self, script: Callable[[socket.socket], None]):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self.listener.getsockname()[1]}"
        self.script = script
        self.connections = 0
        self.open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.settimeout(60)
            self.open.append(connection)
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        try:
            self.script(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def close(self) -> None:
        # Wakes the thread that accepts, which a closed descriptor alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            connection.close()


def packet(kind: int, body: bytes, length: int | None = None) -> bytes:
    """An MQTT control packet; `length`: what it says of itself instead of the truth."""
    left, head = len(body) if length is None else length, bytearray([kind])
    while True:
        left, digit = divmod(left, 128)
        head.append(digit | (128 if left else 0))
        if not left:
            return bytes(head) + body


def receive(connection: socket.socket) -> tuple[int, bytes]:
    kind, length, shift = connection.recv(1), 0, 0
    if not kind:
        raise OSError("closed")
    while True:
        digit = connection.recv(1)[0]
        length |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            break
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return kind[0], body


def welcome(connection: socket.socket) -> None:
    """MQTT 5: CONNACK, and SUBACK for one topic."""
    assert receive(connection)[0] == 0x10
    connection.sendall(packet(0x20, b"\0\0\0"))
    kind, body = receive(connection)
    assert kind == 0x82
    connection.sendall(packet(0x90, body[:2] + b"\0\2"))


def publication(payload: bytes, identifier: int, again: bool = False, topic: bytes = b"mis/policy/hotfix") -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + identifier.to_bytes(2, "big") + b"\0" + payload
    return packet(0x3C if again else 0x34, body)


class Feed:
    """A policy folder, somebody who signs for it, and the feeds a test starts on it."""

    def __init__(self, mis: str, folder: Path):
        self.mis = mis
        self.folder = folder
        self.state = folder / "state"
        self.policy = self.state / "policy"
        self.running: list[subprocess.Popen[bytes]] = []
        self.closing: list[Callable[[], None]] = []
        self("keygen", folder / "k", "--trust")

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        return {**kept, "MIS_STATE_DIR": str(self.state)}

    def __call__(self, *words: str | Path, status: int = 0) -> str:
        ended = subprocess.run([self.mis, "policy", *map(str, words)], capture_output=True, text=True, timeout=120,
                               env=self.environment, cwd=self.folder)  # fmt: skip
        assert ended.returncode == status, f"{words}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    def bundle(self, serial: int, kind: str = "hotfix", key: str = "k.key", *options: str) -> Path:
        path = self.folder / f"{kind}-{serial}-{key}.mip"
        (self.folder / "list.jsonl").write_text(THREAT)
        self("build", "-o", path, "--kind", kind, "--serial", str(serial), "--key", self.folder / key, *options,
             self.folder / "list.jsonl")  # fmt: skip
        return path

    def start(
        self, *options: str | Path, before: Sequence[str] = (), environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        command: list[str | Path] = [self.mis, "policy", "subscribe"]
        if environment:
            # What a test preloads is for the program itself, not for the one that starts it.
            command = [Path(self.mis).resolve().parent / "mis-feed", "subscribe", "--folder", self.policy]
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(
                [*before, *command, *map(str, options)], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env=self.environment | (environment or {}), cwd=self.folder,
            )  # fmt: skip
        self.running.append(process)
        return process

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def said(self, pattern: str, times: int = 1, seconds: float = 20) -> None:
        wait_for(lambda: len(re.findall(pattern, self.log)) >= times, f"\"{pattern}\" {times} times in\n{self.log}", seconds)

    def serial(self, kind: str = "hotfix", root: Path = Path("/")) -> int | None:
        """Of the bundle that lies in the folder."""
        path = root / (self.policy / f"incoming/feed-{kind}.mip").relative_to("/")
        try:
            return int.from_bytes(path.read_bytes()[16:24], "little")
        except FileNotFoundError:
            return None

    def got(self, serial: int, kind: str = "hotfix", seconds: float = 20, root: Path = Path("/")) -> None:
        wait_for(lambda: self.serial(kind, root) == serial, f"{kind} {serial} in the folder\n{self.log}", seconds)

    def status(self, place: int = 0) -> dict[str, Any]:
        return json.loads(self("status", "--json"))["feed"]["sources"][place]

    def tells(self, **wanted: Any) -> None:
        """Waits until the status says so: it is written after what the log and the folder show."""
        wait_for(lambda: wanted.items() <= self.status().items(), f"{wanted} in the status\n{self.log}")

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        process.send_signal(signal.SIGTERM)
        self.running.remove(process)
        return process.wait(timeout=20)

    def close(self) -> None:
        # Told and not killed: its worker is reaped by it, and not left to the machine's init.
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for close in self.closing:
            close()

    def names(self) -> list[str]:
        return sorted(path.name for path in (self.policy / "incoming").iterdir())


def worker(process: subprocess.Popen[bytes]) -> int:
    """The process that reads strangers' bytes: the child of the one that was started."""
    def look() -> int | None:
        try:
            found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        except FileNotFoundError:
            return None
        return int(found[0]) if found else None

    return wait_for(look, "the feed's worker")


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


# Fixtures; a test file imports those it uses.


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture
def feed(mis: str, tmp_path: Path) -> Iterator[Feed]:
    made = Feed(mis, tmp_path)
    yield made
    made.close()


@pytest.fixture
def web(authority: Authority, feed: Feed) -> Web:
    made = Web(authority.certificate("server"))
    feed.closing.append(made.close)
    return made


@pytest.fixture
def broker(feed: Feed) -> Broker:
    made = Broker(feed.folder / "broker")
    feed.closing.append(made.stop)
    return made


def scripted(feed: Feed, script: Callable[[socket.socket], None]) -> ScriptedBroker:
    made = ScriptedBroker(script)
    feed.closing.append(made.close)
    return made
