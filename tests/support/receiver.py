"""A receiver of webhooks on a port of this machine, which misbehaves as a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers ``status`` to all, or to a path what ``answers`` has for it: a status, or a function
    that gets the handler and answers itself."""

    port: int
    status: int = 200
    answers: dict[str, int | Callable[[Any], None]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def texts(self) -> list[str]:
        """Return the texts of all documents that came, in their order."""
        return [each.document["text"] for each in self.received]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Serve until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.received.append(Received(self.path, headers, body))
            answer = made.answers.get(self.path, made.status)
            if callable(answer):
                answer(self)
                return
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that left

    server = Server(("127.0.0.1", 0), Handler)
    made = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        made.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def redirect(to: str, status: int = 307) -> Callable[[Any], None]:
    """Return an answer that leads to another URL."""

    def answer(handler: Any) -> None:
        handler.send_response(status)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def endless(made: Receiver) -> Callable[[Any], None]:
    """Return an answer whose body has no end."""

    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not made.closing.is_set():
                handler.wfile.write(b"x" * 65536)
        except OSError:
            pass

    return answer


def silent(made: Receiver) -> Callable[[Any], None]:
    """Return an answer that never comes."""

    def answer(handler: Any) -> None:
        made.closing.wait(60)

    return answer
