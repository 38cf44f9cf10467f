"""A model server on loopback that plays a script.

It speaks the protocols in wire.py, answers each request with the first turn of the script that the conversation does
not show as done, writes every request down as a line of JSON, and remembers what the agent reported for each step. It
is bounded: in time, in the number of requests, and in the size of each.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .script import Script
from .wire import PROTOCOLS, Reply

ASIDE = Reply("Add the greeting")  # the answer beside the script: a usable title, summary or commit message
AFTERWARDS = Reply("Nothing is left to do.")

MOST_REQUESTS = 200
LARGEST_REQUEST = 16 << 20  # bytes


class ModelServer:
    """Use as a context manager; `url` is its address, without a path."""

    def __init__(self, script: Script, log: Path, seconds: float) -> None:
        self.script = script
        self.log = log
        self.observed: dict[str, str] = {}
        self.problems: list[str] = []
        self.requests = 0
        self.scripted_requests = 0
        self._lock = threading.Lock()
        self._http = _Server(self)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._deadline = threading.Timer(seconds, self._http.shutdown)
        self._deadline.daemon = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._deadline.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._deadline.cancel()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, method: str, path: str, raw: bytes) -> tuple[int, str, bytes]:
        """The status, content type and body to answer a request with."""
        with self._lock:
            self.requests += 1
            status, kind, body, played = self._decide(method, path.split("?", 1)[0], raw)
            line = {"time": time.time(), "method": method, "path": path, "status": status, "turn": played,
                    "body": raw.decode(errors="replace")}
            with open(self.log, "a") as log:
                log.write(json.dumps(line) + "\n")
            return status, kind, body

    def _decide(self, method: str, path: str, raw: bytes) -> tuple[int, str, bytes, str | None]:
        if self.requests > MOST_REQUESTS:
            self.problems.append(f"more than {MOST_REQUESTS} requests")
            return 400, "application/json", b'{"error": {"message": "too many requests for one script"}}', None
        protocol = next((p for p in PROTOCOLS if p.path == path), None)
        if method != "POST" or protocol is None:
            # Reachability checks and token counts: agents ask, and carry on whatever the answer.
            return 200, "application/json", b'{"data": [], "models": [], "input_tokens": 10}', None
        try:
            body: dict[str, Any] = json.loads(raw)
        except ValueError as error:
            self.problems.append(f"{path}: not JSON: {error}")
            return 400, "application/json", b'{"error": {"message": "not JSON"}}', None
        heard = protocol.hear(body)
        if not self.script.belongs(heard):
            return 200, *protocol.render(ASIDE, body), "aside"
        self.scripted_requests += 1
        self.observed.update(self.script.seen(heard))
        turn = self.script.next(heard)
        if turn is None:
            return 200, *protocol.render(AFTERWARDS, body), "afterwards"
        if turn.reply.call and turn.reply.call.name not in heard.tools:
            self.problems.append(f"the agent offers no tool {turn.reply.call.name}, only {sorted(heard.tools)}")
        return 200, *protocol.render(turn.reply, body), "+".join(step.name for step in turn.steps)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A handler may be waiting for an agent that is gone; leaving must not wait for it.
    block_on_close = False

    def __init__(self, model: ModelServer) -> None:
        self.model = model
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds a connection may be idle
    server: _Server

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on stderr: the log file has it all."""

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if length > LARGEST_REQUEST or self.headers.get("transfer-encoding"):
            self.send_error(413)
            return
        status, kind, body = self.server.model.answer(self.command, self.path, self.rfile.read(length))
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = _answer
