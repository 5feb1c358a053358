"""A daemon on a real unix socket that answers what a test tells it to, and keeps what was asked."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import launcher
from launcher.wire import END, EVENT, POSITION, STDERR, STDOUT, Frame, JobView, SliceView, Status


@dataclasses.dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any


@dataclasses.dataclass
class Json:
    """A JSON answer."""

    value: Any
    status: int = 200


@dataclasses.dataclass
class Stream:
    """Frames in one chunked answer; ``cut`` drops the connection instead of ending the answer.

    A callable among the frames is called when its turn comes.
    """

    frames: Iterable[Frame | Callable[[], None]]
    cut: bool = False


class Raw(bytes):
    """Bytes sent as they are, in place of an HTTP answer."""


Reply = Json | Stream | Raw


class StubDaemon(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Handler)
        self.path = str(path)
        self.asked: list[Asked] = []
        self.version = launcher.__version__
        self.refuse = False
        """Closes each connection without a reply, as a daemon that is killed does."""
        self.open = 0
        self.most_open = 0
        """Requests under way, and how many there were at most."""
        self._counting = threading.Lock()
        self._replies: dict[tuple[str, str], list[Reply]] = {}
        self.otherwise: Callable[[Asked], Reply | None] = lambda _: None
        """Answers what ``on`` has no answer for; called in the thread of the request."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def on(self, method: str, path: str, *replies: Reply) -> None:
        """Answer requests of this method and path with these in turn; the last one stays."""
        self._replies[method, path] = list(replies)

    def reply_to(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        queue = self._replies.get((asked.method, asked.path))
        if not queue and (reply := self.otherwise(asked)) is not None:
            return reply
        if not queue:
            message = f"the stub has no answer for {asked.method} {asked.path}"
            return Json({"kind": "error", "message": message}, 404)
        return queue.pop(0) if len(queue) > 1 else queue[0]

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request while it is served."""
        with self._counting:
            self.open += 1
            self.most_open = max(self.open, self.most_open)
        yield
        with self._counting:
            self.open -= 1

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def did(self) -> list[str]:
        """What was asked, in short."""
        return [f"{each.method} {each.path}" for each in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StubDaemon  # type: ignore[assignment]

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return "unix"

    def _serve(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        path, _, query = self.path.partition("?")
        body = json.loads(data) if data else None
        self.close_connection = True
        with self.server.counted():
            reply = self.server.reply_to(Asked(method, path, query, dict(self.headers), body))
            if not self.server.refuse:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        if isinstance(reply, Raw):
            self.wfile.write(reply)
            return
        self.send_response(reply.status if isinstance(reply, Json) else 200)
        self.send_header("Launcher-Version", self.server.version)
        if isinstance(reply, Json):
            text = json.dumps(_plain(reply.value)).encode()
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for frame in reply.frames:
            if not isinstance(frame, Frame):
                frame()
                continue
            text = frame.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            self.wfile.flush()
        if not reply.cut:
            self.wfile.write(b"0\r\n\r\n")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value


def head(*jobs: JobView, waiting: int = 0, running: int = 0) -> Json:
    """The head of a queue that has no more than these jobs, unless said otherwise."""
    waiting = waiting or sum(job.state == "PENDING" for job in jobs)
    running = running or len(jobs) - waiting
    return Json({"jobs": [dataclasses.asdict(j) for j in jobs], "waiting": waiting,
                 "running": running})  # fmt: skip


def job_view(**changes: Any) -> JobView:
    """A job as a daemon shows it."""
    fields: dict[str, Any] = {
        "id": 12, "name": "train", "user": "alice", "state": "PENDING", "outcome": None,
        "reason": None, "profile": "1g.6gb", "count": 1, "slices": [], "image": "busybox",
        "command": ["true"], "priority": 50, "array": None, "attempt": 0, "exit_code": None,
        "submitted_at": "2026-01-02T03:04:05.000006Z", "started_at": None, "ended_at": None,
        "container_id": None,
    }  # fmt: skip
    return JobView(**{**fields, **changes})


def ended(outcome: str, exit_code: int | None = None, **changes: Any) -> JobView:
    """A job that has ended."""
    return job_view(state="DONE", outcome=outcome, exit_code=exit_code, **changes)


def slice_view(**changes: Any) -> SliceView:
    """A slice as a daemon shows it."""
    fields: dict[str, Any] = {
        "uuid": "MIG-11111111-2222-3333-4444-555555555555", "gpu": "GPU-1", "gpu_index": 0,
        "profile": "1g.6gb", "memory_mib": 5952, "gi": 3, "ci": 0,
        "placement": {"start": 0, "size": 1}, "state": "free", "job": None, "attempt": None,
        "user": None, "made_by": "other",
    }  # fmt: skip
    return SliceView(**{**fields, **changes})


def status_view(**changes: Any) -> Status:
    """A daemon's health."""
    fields: dict[str, Any] = {
        "state": "healthy", "problems": [], "version": launcher.__version__, "api_version": 1,
        "pid": 4711, "store": "abc", "socket": "/run/x.sock", "state_dir": "/var/lib/x",
        "docker": "29.0", "driver": "580.1", "gpus": 1, "slices": {"free": 4}, "jobs": {},
        "started_at": "2026-01-02T03:04:05.000006Z",
    }  # fmt: skip
    return Status(**{**fields, **changes})


def position(text: str) -> Frame:
    """Return the frame that tells where the next output stands."""
    return Frame(POSITION, 0, text.encode())


def out(text: str, time_ns: int = 1) -> Frame:
    return Frame(STDOUT, time_ns, text.encode())


def err(text: str, time_ns: int = 1) -> Frame:
    return Frame(STDERR, time_ns, text.encode())


def event(job: JobView, *blockers: dict[str, str], progress: Any = None) -> Frame:
    body = {"job": dataclasses.asdict(job), "blockers": list(blockers), "progress": progress}
    return Frame(EVENT, 0, json.dumps(body).encode())


def end(job: JobView) -> Frame:
    return Frame(END, 0, json.dumps(dataclasses.asdict(job)).encode())
