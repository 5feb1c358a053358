"""One HTTP exchange over a unix socket, with every failure turned into an error of ours."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import launcher
from launcher import errors
from launcher.wire import FRAME_HEADER_BYTES, Frame, decode_header

VERSION_HEADER = "Launcher-Version"
_CHUNK = 64 * 1024


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over one AF_UNIX stream."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path
        self.raw: socket.socket | None = None

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = self.raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class CutStream(errors.DaemonUnreachable):
    """The daemon went away before it had answered."""


class Transport:
    """Requests to the daemon on the first socket that answers; from then on, on that one."""

    def __init__(self, candidates: list[str], notice: Callable[[str], None] | None) -> None:
        self.candidates = candidates
        self.socket: str | None = None
        self.daemon_version: str | None = None
        self._notice = notice

    def notice(self, text: str) -> None:
        """Tell the person something that is no error."""
        if self._notice:
            self._notice(text)

    def json(self, method: str, path: str, body: Any = None, *, timeout: float) -> Any:
        """Return the parsed JSON of one exchange."""
        connection, reply = self._exchange(method, path, body, timeout)
        try:
            return json.loads(_all(reply))
        except ValueError as error:
            raise errors.LauncherError(f"the daemon's answer is no JSON: {error}") from error
        finally:
            connection.close()

    def frames(self, path: str, *, timeout: float) -> Iterator[Frame]:
        """Yield the frames of one stream; a stream that is cut raises ``CutStream``."""
        connection, reply = self._exchange("GET", path, None, timeout)
        try:
            if connection.raw:
                connection.raw.settimeout(None)
            yield from _frames(reply)
        finally:
            reply.close()
            connection.close()

    def _exchange(
        self, method: str, path: str, body: Any, timeout: float
    ) -> tuple[_UnixConnection, http.client.HTTPResponse]:
        connection = self._connect(timeout)
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {VERSION_HEADER: launcher.__version__, "Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body=data, headers=headers)
            reply = connection.getresponse()
        except TimeoutError as error:
            connection.close()
            raise errors.DaemonUnreachable(
                f"the daemon on {self.socket} did not answer within {timeout:g} s",
                fix="`launch status` shows how it is; its log says more.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise CutStream(f"the daemon on {self.socket} went away before it answered") from error
        self._version(reply)
        if not 200 <= reply.status < 300:
            with_error = _error(reply)
            connection.close()
            raise with_error
        return connection, reply

    def _connect(self, timeout: float) -> _UnixConnection:
        failed: list[tuple[str, OSError]] = []
        for path in [self.socket] if self.socket else self.candidates:
            connection = _UnixConnection(path, timeout)
            try:
                connection.connect()
            except OSError as error:
                connection.close()
                failed.append((path, error))
                continue
            self.socket = path
            return connection
        raise _unreachable(failed)

    def _version(self, reply: http.client.HTTPResponse) -> None:
        version = reply.headers.get(VERSION_HEADER)
        if version and version != self.daemon_version:
            self.daemon_version = version
            if version != launcher.__version__:
                self.notice(
                    f"this is version {launcher.__version__}, the daemon is version {version}"
                )


def _unreachable(failed: list[tuple[str, OSError]]) -> errors.DaemonUnreachable:
    for path, error in failed:
        if isinstance(error, PermissionError):
            return errors.DaemonUnreachable(
                f"you may not use the daemon's socket {path}",
                fix="It is another user's own daemon, or its directory is closed to you.",
            )
    for path, error in failed:
        if not isinstance(error, FileNotFoundError):
            why = "nobody answers on it" if isinstance(error, ConnectionError) else error.strerror
            return errors.DaemonUnreachable(
                f"no launcher daemon is running: {path} is there, but {why}",
                fix="Start it with `launch serve`, or as the service it was installed as.",
            )
    where = " and no ".join(path for path, _ in failed)
    return errors.DaemonUnreachable(
        f"no launcher daemon is running (there is no {where})",
        fix="Start one with `launch serve`, or name its socket in LAUNCHER_SOCKET.",
    )


def _error(reply: http.client.HTTPResponse) -> errors.LauncherError:
    try:
        body = json.loads(_all(reply))
        return errors.from_wire(str(body["kind"]), str(body["message"]), body.get("fix"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return errors.LauncherError(f"the daemon answered {reply.status} {reply.reason}")


def _all(reply: http.client.HTTPResponse) -> bytes:
    try:
        return reply.read()
    except (OSError, http.client.HTTPException) as error:
        raise CutStream("the daemon went away in the middle of its answer") from error


def _frames(reply: http.client.HTTPResponse) -> Iterator[Frame]:
    """Yield frames as soon as they are whole, whatever pieces they come in."""
    buffer = bytearray()
    while True:
        try:
            piece = reply.read1(_CHUNK)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CutStream("the daemon went away in the middle of a stream") from error
        if not piece:
            return
        buffer += piece
        at = 0
        while len(buffer) - at >= FRAME_HEADER_BYTES:
            stream, time_ns, length = decode_header(bytes(buffer[at : at + FRAME_HEADER_BYTES]))
            end = at + FRAME_HEADER_BYTES + length
            if len(buffer) < end:
                break
            yield Frame(stream, time_ns, bytes(buffer[at + FRAME_HEADER_BYTES : end]))
            at = end
        del buffer[:at]
