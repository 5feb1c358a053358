"""Daemons without half a second of imports each: forked from a process that has them done.

A forked daemon is what ``launch serve`` is once its modules are loaded: a session, an environment
and files of its own. Benchmarks, most of `make soak` and the daemons that acceptance tests share
are the command itself.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

LOADED = (
    "launcher.cli.app",
    "launcher.cli.verbs.service.serve",
    "launcher.daemon.main",
    "launcher.fakegpu",
    "docker",
    "tenacity",
)
MOST_BYTES = 1 << 17


class Process(Protocol):
    """What tests use of a daemon's process; ``subprocess.Popen`` has it."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...


class Forked:
    """A daemon of the nursery; ``status`` is a pipe on which its exit status arrives."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status
        self._reading = threading.Lock()

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        return self._read(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status once it has ended; subprocess.TimeoutExpired after ``timeout``."""
        code = self._read(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(f"daemon {self.pid}", timeout)
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """End it as a crash does."""
        self.send_signal(signal.SIGKILL)

    def _read(self, seconds: float | None) -> int | None:
        with self._reading:
            if self.returncode is None:
                ready = select.poll()
                ready.register(self._status, select.POLLIN)
                if ready.poll(None if seconds is None else seconds * 1000):
                    self.returncode = int(os.read(self._status, 20))
                    os.close(self._status)
            return self.returncode


class Nursery:
    """The process that daemons are forked from; it starts with the first one."""

    def __init__(self) -> None:
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._asking = threading.Lock()

    def spawn(self, words: Sequence[str], environment: Mapping[str, str], log: int) -> Forked:
        """Fork a daemon: ``launch`` with these words; it writes to the file ``log``."""
        asked = json.dumps({"words": list(words), "environment": dict(environment)})
        read, write = os.pipe()
        with self._asking:
            channel = self._channel or self._open()
            socket.send_fds(channel, [asked.encode()], [log, write])
            os.close(write)
            return Forked(int(channel.recv(20)), read)

    def close(self) -> None:
        """End the process; daemons go on."""
        if self._channel is not None and self._process is not None:
            self._channel.close()
            self._process.wait()

    def _open(self) -> socket.socket:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                cwd=Path(__file__).parents[2],
            )
        return self._channel


def main() -> None:
    """Load the daemon's modules, and fork a daemon for each message."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    for name in LOADED:
        importlib.import_module(name)
    _build_types()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, files, _, _ = socket.recv_fds(channel, MOST_BYTES, 2)
        if not message:
            return
        if os.fork() == 0:
            _mind(channel, json.loads(message), *files)
        for fd in files:
            os.close(fd)


def _build_types() -> None:
    """Have what a daemon builds of the wire's types at its first requests."""
    from launcher.daemon.api.routes import ROUTES
    from launcher.daemon.requests import convert
    from launcher.errors import UserError

    for route in ROUTES:
        if route.reply is not None:
            convert.adapter(route.reply)
        if route.body_type is not None:
            with contextlib.suppress(UserError):
                convert.parse(route.body_type, b"{}")


def _mind(channel: socket.socket, asked: Mapping[str, object], log: int, status: int) -> NoReturn:
    """Fork the daemon, tell its pid, and its exit status when it has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        channel.close()
        os.close(status)
        _be_the_daemon(asked, log)
    channel.send(str(pid).encode())
    channel.close()
    os.close(log)
    _, ended = os.waitpid(pid, 0)
    os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
    os._exit(0)


def _be_the_daemon(asked: Mapping[str, object], log: int) -> NoReturn:
    from launcher.cli import main as launch

    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    launch(asked["words"])  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
