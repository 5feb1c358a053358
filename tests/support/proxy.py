"""A faulty wire between the daemon and Docker: a unix socket that passes requests on, or not.

A rule names requests by a pattern of their first line and says what goes wrong with them, and how
often. Everything else passes. Each connection carries one request, so that answers have an end.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import socketserver
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PIECE = 65536
ERRORS = {
    "404": (404, "No such container: simulated"),
    "409": (409, "Conflict. The container is in a state that was not expected"),
    "500": (500, "server error: the daemon has an internal trouble"),
}
"""Bodies as a real dockerd sends them: one JSON object with a message."""
FAULTS = ("drop-before", "drop-after", "delay", "cut", "hang", *ERRORS)
CUT_BYTES = 20


@dataclass
class Rule:
    """What goes wrong with the requests whose first line matches, ``times`` times."""

    pattern: str
    fault: str
    times: int = 1
    body: str | None = None
    """Another message than the usual one of the error."""
    struck: int = field(default=0, init=False)


class FaultyDocker:
    """The proxy in front of one dockerd; a context manager."""

    def __init__(self, docker_host: str) -> None:
        self._behind = docker_host.removeprefix("unix://")
        self._place = Path(tempfile.mkdtemp(prefix="launcher-"))
        self.socket = self._place / "docker.sock"
        self.docker_host = f"unix://{self.socket}"
        self.rules: list[Rule] = []
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    proxy._serve(self.request)

        self._server = socketserver.ThreadingUnixStreamServer(str(self.socket), Handler)
        self._server.daemon_threads = True
        self._server.request_queue_size = 512
        self._server.socket.listen(512)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> FaultyDocker:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, pattern: str, fault: str, times: int = 1, body: str | None = None) -> Rule:
        """Let something go wrong from now on."""
        assert fault in FAULTS
        rule = Rule(pattern, fault, times, body)
        with self._lock:
            self.rules.append(rule)
        return rule

    def _rule_for(self, line: str) -> Rule | None:
        with self._lock:
            for rule in self.rules:
                if rule.struck < rule.times and re.search(rule.pattern, line):
                    rule.struck += 1
                    return rule
        return None

    def _serve(self, near: socket.socket) -> None:
        head = _head(near)
        if not head:
            return  # somebody only looked who answers
        line = head.partition(b"\r\n")[0].decode("latin-1")
        rule = self._rule_for(line)
        fault = rule.fault if rule is not None else None
        if fault == "drop-before":
            return
        if fault == "hang":
            self._closing.wait(600)
            return
        if fault == "delay":
            self._closing.wait(0.7)
        if rule is not None and fault in ERRORS:
            near.sendall(_error(*ERRORS[fault], rule.body))
            return
        with self._forwarded(near, head) as far:
            if fault == "drop-after":
                while far.recv(PIECE):
                    pass
                return
            self._answer(far, near, CUT_BYTES if fault == "cut" else None)

    @contextlib.contextmanager
    def _forwarded(self, near: socket.socket, head: bytes) -> Iterator[socket.socket]:
        """Pass the request on; its answer ends with the connection."""
        first, _, rest = head.partition(b"\r\n")
        head = (
            first + b"\r\nConnection: close\r\n" + re.sub(rb"(?i)connection:[^\r]*\r\n", b"", rest)
        )
        with socket.socket(socket.AF_UNIX) as far:
            far.connect(self._behind)
            far.sendall(head)
            asking = threading.Thread(target=_pump, args=(near, far), daemon=True)
            asking.start()
            yield far

    @staticmethod
    def _answer(far: socket.socket, near: socket.socket, most: int | None) -> None:
        passed = 0
        while piece := far.recv(PIECE):
            if most is not None and passed + len(piece) >= most:
                near.sendall(piece[: most - passed])
                return
            near.sendall(piece)
            passed += len(piece)


def _head(near: socket.socket) -> bytes:
    """Read a request's head, and what of its body came with it."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = near.recv(PIECE)
        if not piece:
            return b""
        got += piece
    return got


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            sink.sendall(piece)


def _error(status: int, message: str, body: str | None) -> bytes:
    text = json.dumps({"message": body or message}).encode()
    return (
        f"HTTP/1.1 {status} Error\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    ).encode() + text
