"""Serves the helper's connections: checks the uid, runs one process per request.

It does not know the requests. A worker may hang or die without affecting the others; it dies with
the helper, so that a killed helper makes no further changes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from launcher.errors import InternalError, LauncherError, NotAllowed
from launcher.mount_helper import frames, syscalls

log = logging.getLogger(__name__)

MOST_AT_ONCE = 32
REQUEST_SECONDS = 5.0
"""Time limit for receiving a request, and for sending its reply."""
RETRY_SECONDS = 1.0
"""The pause after a connection could not be accepted: no descriptors are free."""
_SD_LISTEN_FDS_START = 3

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """Yield the connections of a listening socket, as systemd passes one."""
    is_short = False
    while True:
        try:
            connection = listener.accept()[0]
        except OSError as error:
            if not is_short:
                log.warning("cannot accept connections, trying again: %s", error.strerror)
            is_short = True
            time.sleep(RETRY_SECONDS)
            continue
        is_short = False
        yield connection


def bound(path: str) -> socket.socket:
    """Return a listening socket for root only; it replaces an earlier helper's."""
    new = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)  # noqa: PTH108
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(new)
        listener.listen()
        os.rename(new, path)  # noqa: PTH104
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def handed_over(channel: socket.socket) -> Iterator[socket.socket]:
    """Yield the connections passed through a socket pair, until its other end is closed."""
    while True:
        message, files, _, _ = socket.recv_fds(channel, 1, 1)
        for fd in files:
            yield socket.socket(fileno=fd)
        if not message:
            return


def systemd_listener() -> socket.socket | None:
    """Return the socket passed by systemd (sd_listen_fds(3)), None if there is none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    listener = socket.socket(fileno=_SD_LISTEN_FDS_START)
    os.set_inheritable(listener.fileno(), False)
    return listener


def serve(
    connections: Iterator[socket.socket], answer: Answer, uids: frozenset[int], seconds: float
) -> None:
    """Serve the connections of these uids, each in a process with ``seconds`` to run."""
    workers: set[int] = set()

    def reap(*_: object) -> None:
        """Forget the workers that have ended; also a signal handler."""
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                workers.discard(pid)

    signal.signal(signal.SIGCHLD, reap)
    for connection in connections:
        with connection:
            uid = peer_uid(connection)
            if uid not in uids:
                _refuse(connection, uid)
                continue
            while len(workers) >= MOST_AT_ONCE:
                with contextlib.suppress(ChildProcessError):
                    workers.discard(os.waitpid(-1, 0)[0])
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            ours = os.getpid()
            pid = os.fork()
            if pid == 0:
                _work(ours, connection, answer, seconds)
            workers.add(pid)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def peer_uid(connection: socket.socket) -> int:
    """Return the peer's uid as the kernel reports it (SO_PEERCRED, unix(7))."""
    creds = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("iIi", creds)[1])


def _refuse(connection: socket.socket, uid: int) -> None:
    log.warning("refused a request of uid %d", uid)
    connection.setblocking(False)
    error = NotAllowed(f"uid {uid} may not use the mount helper")
    with contextlib.suppress(OSError):
        connection.send(frames.encoded(frames.error_fields(error)))


def _work(helper: int, connection: socket.socket, answer: Answer, seconds: float) -> NoReturn:
    """Answer one request; runs in a process of its own."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        syscalls.die_with_parent()
        syscalls.be_opaque()  # no core dump: the request may contain secrets
        if os.getppid() != helper:
            os._exit(1)
        signal.alarm(round(seconds))
        connection.settimeout(REQUEST_SECONDS)
        if (reply := _reply_to(connection, answer)) is not None:
            with contextlib.suppress(
                BrokenPipeError, ConnectionResetError
            ):  # the client may be gone
                connection.sendall(frames.encoded(reply))
    except BaseException:
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(0)


def _reply_to(connection: socket.socket, answer: Answer) -> Mapping[str, Any] | None:
    """Return the reply to send; None if no request came."""
    try:
        data = frames.receive(connection)
    except LauncherError as error:
        return frames.error_fields(error)
    except OSError as error:
        log.warning("received no request: %s", error)
        return None
    if not data:
        return None
    try:
        return answer(frames.decoded(data))
    except LauncherError as error:
        return frames.error_fields(error)
    except Exception:
        log.exception("a request failed")
        return frames.error_fields(InternalError("the mount helper failed; see its log"))
