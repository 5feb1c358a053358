"""A server on a unix socket that answers as it is told: whole, cut, late or never.

It speaks just enough HTTP for docker-py: a status line, headers, a body of raw bytes.
"""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

VERSION = {"Version": "28.5.2", "ApiVersion": "1.41", "MinAPIVersion": "1.24"}
Say = Callable[[socket.socket], None]


def reply(status: int, body: Any) -> Say:
    """Answer with a JSON body."""
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    return raw(head.encode() + data)


def chunked(*pieces: bytes, end: bool = True, status: int = 200) -> Say:
    """Answer with these chunks; without ``end`` the connection breaks off after them."""
    head = (
        f"HTTP/1.1 {status} OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)
    return raw(head + body + (b"0\r\n\r\n" if end else b""))


def until_close(body: bytes) -> Say:
    """Answer with a body that ends with the connection."""
    return raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)


def raw(data: bytes) -> Say:
    """Send these bytes, then close."""
    return lambda connection: connection.sendall(data)


def cut(_: socket.socket) -> None:
    """Close the connection without a word: the request was read."""


class WireDocker:
    """Listens until closed; ``script`` says what to do by method and path, in order."""

    def __init__(self) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="wire-")
        self.path = Path(self._place.name) / "docker.sock"
        self.host = f"unix://{self.path}"
        self.script: dict[str, list[Say]] = {}
        self.requests: list[str] = []
        self.release = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def on(self, request: str, *answers: Say) -> None:
        """Say what the next requests of this kind get; the last answer stays."""
        self.script[request] = list(answers)

    def hang(self, _: socket.socket) -> None:
        """Say nothing until the test is over."""
        self.release.wait(30)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece:
                    return
                head += piece
            method, target = head.split(b"\r\n", 1)[0].decode().split()[:2]
            path = target.split("?")[0]
            path = "/" + path.split("/", 2)[2] if path.startswith("/v1.") else path
            self.requests.append(f"{method} {target}")
            answers = self.script.get(f"{method} {path}")
            if answers is None:
                answers = [reply(200, VERSION) if path == "/version" else reply(404, {})]
            say = answers.pop(0) if len(answers) > 1 else answers[0]
            try:
                say(connection)
            except OSError:
                return

    def close(self) -> None:
        """Stop listening and let every hanging answer go."""
        self.release.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(10)
        for thread in self._threads:
            thread.join(10)
        self._place.cleanup()
