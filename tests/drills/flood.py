"""A user who means harm: ``python flood.py SOCKET KIND``, standard library only, until killed.

It prints a line as soon as the flood is under way.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import sys
import threading
from collections.abc import Callable

JOB = {"name": "flood", "image": "flood", "command": ["true"], "hold": True}
MANY = 400
THREADS = 4


def connect(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(30)
    made.connect(path)
    return made


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def ask(path: str, request: bytes) -> bytes:
    """Return what is answered first; nothing where the connection breaks."""
    try:
        with connect(path) as made:
            made.sendall(request)
            return made.recv(65536)
    except OSError:
        return b""


def connections(path: str) -> None:
    """Hold as many connections as there can be, and try for more."""
    held = []
    while True:
        with contextlib.suppress(OSError):
            made = connect(path)
            made.setblocking(False)
            try:
                if not made.recv(1):
                    made.close()
            except BlockingIOError:
                held.append(made)
                continue
        for old in held[:50]:
            old.close()
        del held[:50]


def keep_asking(path: str, *requests: bytes) -> None:
    """Ask over many connections at once, each again as soon as it is answered."""
    watch = selectors.DefaultSelector()
    turn = 0

    def renew() -> None:
        nonlocal turn
        with contextlib.suppress(OSError):
            made = connect(path)
            turn += 1
            made.sendall(requests[turn % len(requests)])
            watch.register(made, selectors.EVENT_READ)

    while True:
        while len(watch.get_map()) < MANY:
            renew()
        for key, _ in watch.select():
            made = key.fileobj
            assert isinstance(made, socket.socket)
            try:
                if not made.recv(1 << 20):
                    raise OSError
                turn += 1
                made.sendall(requests[turn % len(requests)])
            except OSError:
                watch.unregister(made)
                made.close()


def requests(path: str) -> None:
    keep_asking(path, get("/v1/jobs?all=1"), get("/v1/queue/head"), get("/v1/jobs?ref=1-9999999"))


def submits(path: str) -> None:
    array = JOB | {"array": {"indices": list(range(1000))}}
    small = json.dumps({"jobs": [JOB]}).encode()
    large = json.dumps({"jobs": [array]}).encode()
    keep_asking(path, post("/v1/jobs", small), post("/v1/jobs", large))


def streams(path: str) -> None:
    answer = ask(path, post("/v1/jobs", json.dumps({"jobs": [JOB]}).encode()))
    job = json.loads(answer.partition(b"\r\n\r\n")[2])[0]["id"]
    keep_asking(path, get(f"/v1/jobs/{job}/follow"), get(f"/v1/jobs/{job}/wait?timeout=30"))


def slow(path: str) -> None:
    """Begin many requests and never end them: a byte now and then."""
    heads = [get("/v1/status")[:20], post("/v1/jobs", b"x" * 5000)[:90]]
    held: list[socket.socket] = []
    pause = threading.Event()
    while True:
        for made in held[:]:
            try:
                made.send(b"x")
            except OSError:
                held.remove(made)
        while len(held) < MANY:
            try:
                made = connect(path)
                made.sendall(heads[len(held) % 2])
                held.append(made)
            except OSError:
                break
        pause.wait(0.05)


def big(path: str) -> None:
    """Send the longest bodies: of many small values, of one deep one, of a long text."""
    size = 8 * 1024 * 1024 - 200
    values = b'{"jobs": [' + b"{}," * (size // 3 - 10) + b"{}]}"
    deep = b'{"jobs": ' + b"[" * (size - 20)
    text = b'{"jobs": "' + b"x" * (size - 20) + b'"}'
    bodies = [post("/v1/jobs", body) for body in (values, deep, text)]

    def send() -> None:
        while True:
            for body in bodies:
                ask(path, body)

    for _ in range(THREADS):
        threading.Thread(target=send, daemon=True).start()
    threading.Event().wait()


KINDS: dict[str, Callable[[str], None]] = {
    each.__name__: each for each in (connections, requests, submits, streams, slow, big)
}


if __name__ == "__main__":
    print("on", flush=True)
    KINDS[sys.argv[2]](sys.argv[1])
