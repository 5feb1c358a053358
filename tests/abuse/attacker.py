"""A hostile user at every limit: ``python attacker.py SOCKET SEED``, standard library only.

Every request is drawn by the seed: which attack, which field, which size, how many at once. It
prints a line once it is under way, and goes on until it is killed.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

THREADS = 6
IMAGE = "launcher/busybox:latest"
NONE = {"kind": "none"}
JOB: dict[str, Any] = {
    "name": "attack",
    "image": IMAGE,
    "command": ["sh", "-c", "trap '' TERM; while :; do :; done"],
    "gpus": NONE,
    "environment": {"A": "1"},
    "working_dir": "/tmp",
    "stop_grace_period": 300.0,
    "hold": True,
}
SELECT: dict[str, Any] = {"refs": ["1-10"], "user": "me", "state": None, "name": "a*"}
LOGIN: dict[str, Any] = {
    "registry": "127.0.0.1:9",
    "auth": {"username": "u", "password": "p", "identitytoken": None},
}


class Attacker:
    """One thread of a hostile user. ``held`` are connections that it keeps open and never reads."""

    def __init__(self, path: str, seed: int) -> None:
        self.path, self.rng = path, random.Random(seed)
        self.held: list[socket.socket] = []
        self.ids: list[int] = []

    def size(self, most: int) -> int:
        """Return a size from 1 to ``most``, small and large ones alike."""
        return int(most ** self.rng.random())

    def connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(10)
        made.connect(self.path)
        return made

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's document, None where there is none."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        with contextlib.suppress(OSError, ValueError), self.connect() as made:
            made.sendall(head.encode() + f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
            answer = bytearray()
            while piece := made.recv(1 << 16):
                answer += piece
            return json.loads(answer.partition(b"\r\n\r\n")[2])
        return None

    def hold(self, path: str, count: int) -> None:
        """Ask on so many connections and read nothing; old ones are let go."""
        for _ in range(count):
            with contextlib.suppress(OSError):
                made = self.connect()
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                made.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                self.held.append(made)
        while len(self.held) > 200:
            self.held.pop(0).close()

    def blown_up(self, document: Any) -> Any:
        """Return a document of which one value, at a random place, is of a random size."""
        if isinstance(document, dict) and document and self.rng.random() < 0.8:
            key = self.rng.choice(list(document))
            return {**document, key: self.blown_up(document[key])}
        size = self.size(300_000)
        return self.rng.choice(
            [
                "[" * size,
                "*a" * size,
                "${a}" * size,
                "\u202e\0" * size,
                ["x"] * size,
                [["0-99999"]] * min(size, 1000),
                ["0-99999"] * size,
                {f"k{n}": "v" for n in range(min(size, 20_000))},
                10**size if size < 300 else 1e308,
                -size,
                None,
            ]
        )

    def job(self) -> int:
        return self.rng.choice(self.ids) if self.ids else 1

    def submit(self) -> None:
        """Queue ordinary jobs, arrays and matrices, up to every limit."""
        kind = self.rng.choice(["one", "array", "matrix", "words", "run"])
        job: dict[str, Any] = {**JOB}
        if kind == "array":
            job["array"] = {"indices": list(range(self.size(5000)))}
        if kind == "matrix":
            count = self.size(1000)
            value = "x" * self.size(2000)
            job["command"] = ["${a}" * self.size(2000)]
            job["array"] = {"indices": list(range(count)), "matrix": [{"a": value}] * count}
        if kind == "words":
            job["command"] = ["x" * 1000] * self.size(200)
        if kind == "run":
            job["hold"] = False
        dry_run = self.rng.random() < 0.3
        made = self.ask("POST", "/v1/jobs", {"jobs": [job], "dry_run": dry_run})
        if isinstance(made, list):
            self.ids = [*self.ids, *(one["id"] for one in made[:5] if one["id"])][-200:]

    def nonsense(self) -> None:
        """Send a document that is wrong in one place, or not one at all."""
        path, document = self.rng.choice(
            [
                ("/v1/jobs", {"jobs": [JOB], "dry_run": True}),
                ("/v1/jobs/cancel", SELECT),
                ("/v1/jobs/retry", {"refs": ["1"], "failed": True}),
                ("/v1/login", LOGIN),
                ("/v1/whatif", {"layouts": ["1g.6gb"]}),
                (f"/v1/jobs/{self.job()}/edit", {"priority": 3}),
                (f"/v1/jobs/{self.job()}/signal", {"signal": "SIGTERM"}),
            ]
        )
        self.ask("POST", path, self.blown_up(document))

    def control(self) -> None:
        """Change jobs over and over."""
        verb = self.rng.choice(["cancel", "hold", "release", "requeue", "cancel", "signal"])
        body = {"signal": "SIGTERM"} if verb == "signal" else None
        for _ in range(self.size(40)):
            self.ask("POST", f"/v1/jobs/{self.job()}/{verb}", body)

    def read(self) -> None:
        """Ask for what takes a while to answer."""
        path = self.rng.choice(
            [
                "/v1/jobs", "/v1/jobs?all=1", "/v1/jobs?ref=0-99999999", "/v1/queue/head?most=1000",
                "/v1/openapi.json", "/v1/doctor", "/v1/slices", "/v1/queue",
                f"/v1/jobs/{self.job()}", f"/v1/jobs/{self.job()}/why",
                f"/v1/jobs/{self.job()}/logs?tail=1000000000",
            ]
        )  # fmt: skip
        self.ask("GET", path)

    def idle(self) -> None:
        """Follow, list and wait on many connections, and read nothing of what comes."""
        path = self.rng.choice(
            ["/v1/jobs", f"/v1/jobs/{self.job()}/follow", f"/v1/jobs/{self.job()}/wait?timeout=30"]
        )
        self.hold(path, self.size(120))

    def odd(self) -> None:
        """Send half a request, or none, and leave."""
        with contextlib.suppress(OSError), self.connect() as made:
            made.sendall(
                self.rng.choice(
                    [
                        b"GET /v1/jobs HTTP/1.1\r\n",
                        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n{",
                        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nExpect: foo\r\n\r\n",
                        b"GET /v1/jobs?all=1 HTTP/1.1\r\nHost: x\r\n\r\n" * self.size(50),
                        b"\0" * self.size(100_000),
                    ]
                )
            )

    def run(self) -> None:
        """Attack until the process is killed."""
        attacks: list[Callable[[], None]] = [
            self.submit, self.nonsense, self.control, self.read, self.idle, self.odd,
        ]  # fmt: skip
        while True:
            self.rng.choice(attacks)()


def main(path: str, seed: int) -> None:
    """Attack from several threads."""
    for number in range(THREADS):
        one = Attacker(path, seed * 1000 + number)
        threading.Thread(target=one.run, daemon=True).start()
    print("on", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
