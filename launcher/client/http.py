"""One exchange with the daemon; every failure becomes an error of ``launcher.errors``."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import launcher
from launcher import errors
from launcher.client.http11 import HttpConnection, ProtocolError, Response

if TYPE_CHECKING:
    from launcher.client.ssh.host import SshHost
    from launcher.wire import Frame

VERSION_HEADER = "Launcher-Version"
NOTICE_HEADER = "Launcher-Notice"
ROLE_HEADER = "Launcher-Role"
HEADERS = {VERSION_HEADER: launcher.__version__, "Accept": "application/json"}
PATIENCE_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 10.0
"""A longer Retry-After is raised as an error at once."""

_START = (
    "A starting daemon answers in a moment. Otherwise start it as it was installed "
    "(`systemctl start launcher`, `docker compose up -d`), or with `launch serve`."
)
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def quote(text: str) -> str:
    """Return the text as one part of a path or query (importing ``urllib`` takes too long)."""
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02X}" for byte in data)


def query(pairs: Sequence[tuple[str, str]]) -> str:
    """Return a query string."""
    return "&".join(f"{name}={quote(value)}" for name, value in pairs)


class CutStream(errors.DaemonUnreachable):
    """The daemon went away before its reply was complete."""

    kind = "daemon-went-away"


class Transport:
    """Requests to the daemon on the first socket that answers, then always on that one.

    With an ``ssh`` address the socket is a local one that ssh forwards.
    """

    def __init__(
        self,
        candidates: list[str],
        notice: Callable[[str], None] | None,
        *,
        ssh: str | None = None,
        role: str | None = None,
    ) -> None:
        self.candidates = candidates
        self.headers = HEADERS if role is None else {**HEADERS, ROLE_HEADER: role}
        self.host = _ssh_host(ssh, notice) if ssh else None
        self.socket: str | None = None
        self.daemon_version: str | None = None
        self._notice = notice

    def with_headers(self, headers: Mapping[str, str]) -> Transport:
        """Return a copy that sends these headers as well."""
        result = copy.copy(self)
        result.headers = {**self.headers, **headers}
        return result

    def notice(self, text: str) -> None:
        """Report a message that is not an error."""
        if self._notice:
            self._notice(text)

    def close(self) -> None:
        """End the ssh connection, if there is one."""
        if self.host is not None:
            self.host.close()

    def json(self, method: str, path: str, body: Any = None, *, timeout: float) -> Any:
        """Return the parsed JSON of one exchange."""
        connection = self._exchange(method, path, body, timeout)
        try:
            return json.loads(self._all(connection))
        except ValueError as error:
            raise errors.LauncherError(f"the daemon's reply is not valid JSON: {error}") from error
        finally:
            connection.close()

    def frames(
        self, path: str, *, timeout: float, wakeup: int | None = None, method: str = "GET"
    ) -> Iterator[Frame]:
        """Yield the frames of one stream; a stream that is cut raises ``CutStream``."""
        connection = self._exchange(method, path, None, timeout)
        try:
            connection.patient(wakeup)
            yield from _frames(connection)
        finally:
            connection.close()

    def exchange(self, method: str, path: str, body: Any, *, timeout: float) -> HttpConnection:
        """Return the reply of one exchange, whose body is still to be read."""
        return self._exchange(method, path, body, timeout)

    def upload(self, path: str, body: Iterable[bytes], *, timeout: float) -> Any:
        """Return the parsed JSON of an exchange whose body may be of any length."""
        connection = self._connect(timeout)
        try:
            connection.upload("POST", path, self.headers, body)
            content = self._all(connection)
            if not 200 <= connection.response.status < 300:
                raise reply_error(connection.response, content)
            return json.loads(content)
        except TimeoutError as error:
            raise self.slow() from error
        except (OSError, ProtocolError) as error:
            raise self.went_away() from error
        finally:
            connection.close()

    def _exchange(self, method: str, path: str, body: Any, timeout: float) -> HttpConnection:
        """Return the reply; if refused for overload, wait as the daemon says and retry."""
        overload = Overload(self)
        while True:
            try:
                return self._once(method, path, body, timeout)
            except errors.TooMany as refused:
                time.sleep(overload.after(refused))

    def _once(self, method: str, path: str, body: Any, timeout: float) -> HttpConnection:
        connection = self._connect(timeout)
        try:
            connection.request(*self.request_of(method, path, body))
            if not self.accepts(connection.response):
                raise reply_error(connection.response, self._all(connection))
        except TimeoutError as error:
            connection.close()
            raise self.slow() from error
        except (OSError, ProtocolError) as error:
            connection.close()
            raise self.went_away() from error
        except BaseException:
            connection.close()
            raise
        return connection

    def request_of(
        self, method: str, path: str, body: Any = None
    ) -> tuple[str, str, dict[str, str], bytes]:
        """Return a request: its method, path, headers, and its body as JSON."""
        if body is None:
            return method, path, self.headers, b""
        data = json.dumps(body, separators=(",", ":")).encode()
        return method, path, {**self.headers, "Content-Type": "application/json"}, data

    def _all(self, connection: HttpConnection) -> bytes:
        try:
            return connection.read()
        except TimeoutError as error:
            raise self.slow() from error
        except (OSError, ProtocolError) as error:
            raise CutStream("the daemon went away in the middle of its reply") from error

    def accepts(self, response: Response) -> bool:
        """Note the daemon's version and notice; return whether it did what was requested."""
        self._version(response.headers.get(VERSION_HEADER.lower()))
        if not 200 <= response.status < 300:
            return False
        if notice := response.headers.get(NOTICE_HEADER.lower()):
            self.notice(notice)
        return True

    def went_away(self) -> errors.LauncherError:
        """Return the error of a connection that was closed before the reply."""
        if self.host is not None and self.daemon_version is None:
            error = self.host.no_reply()
            if error is not None:
                self.socket = None  # no daemon was there: none is waited for
                return error
        return CutStream(f"the daemon on {self._place()} went away before it replied")

    def slow(self) -> errors.DaemonUnreachable:
        """Return the error of a reply that did not come in time."""
        return errors.DaemonUnreachable(
            f"the daemon on {self._place()} did not answer in time",
            fix="`launch status` shows its state; see its log.",
        )

    def _place(self) -> str | None:
        return self.socket if self.host is None else self.host.url

    def _connect(self, timeout: float) -> HttpConnection:
        if self.host is not None:
            return self._connect_by(self.host, timeout)
        failed: list[tuple[str, OSError]] = []
        for path in [self.socket] if self.socket else self.candidates:
            try:
                connection = HttpConnection(path, timeout)
            except OSError as error:
                failed.append((path, error))
                continue
            self.socket = path
            return connection
        raise unreachable(failed)

    def _connect_by(self, host: SshHost, timeout: float) -> HttpConnection:
        self.socket = host.path()
        try:
            return HttpConnection(self.socket, timeout)
        except OSError:  # ssh has ended
            self.socket = host.renewed(self.socket)
        try:
            return HttpConnection(self.socket, timeout)
        except OSError as error:
            raise host.lost() from error

    def _version(self, version: str | None) -> None:
        if version and version != self.daemon_version:
            self.daemon_version = version
            if version != launcher.__version__:
                self.notice(
                    f"this is version {launcher.__version__}, the daemon is version {version}"
                )


def _ssh_host(url: str, notice: Callable[[str], None] | None) -> SshHost:
    from launcher.client.ssh.host import SshHost

    return SshHost(url, notice or (lambda _: None))


class Overload:
    """Limits the wait for a daemon that refuses a request for overload."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._until = time.monotonic() + PATIENCE_SECONDS
        self._noticed = False

    def after(self, refused: errors.TooMany) -> float:
        """Return after how many seconds to try again, or give up by raising ``refused``."""
        must_be_short(refused)
        if time.monotonic() + refused.retry_after > self._until:
            raise refused
        if not self._noticed:
            self._transport.notice(f"{refused.message}; waiting")
        self._noticed = True
        return refused.retry_after


def must_be_short(refused: errors.TooMany) -> None:
    """Raise a refusal whose Retry-After is too long to wait for."""
    if refused.retry_after > LONGEST_WAIT_SECONDS:
        raise refused


def unreachable(failed: list[tuple[str, OSError]]) -> errors.DaemonUnreachable:
    """Return the error of a daemon that answered on none of these sockets."""
    from launcher import last_words

    reason = next(filter(None, (last_words.read(path) for path, _ in failed)), None)
    if reason is not None:
        message, fix = reason
        return errors.DaemonUnreachable(f"no launcher daemon is running: {message}", fix=fix)
    for path, error in failed:
        if isinstance(error, PermissionError):
            return errors.DaemonUnreachable(
                f"you may not use the daemon's socket {path}",
                fix="It is another user's own daemon, or you may not enter its directory.",
            )
    for path, error in failed:
        if error.errno is None:  # Python's own check, before any system call
            return errors.DaemonUnreachable(f"{path} cannot be a socket's path: {error}")
        if not isinstance(error, FileNotFoundError):
            why = (
                "no process answers on it" if isinstance(error, ConnectionError) else error.strerror
            )
            return errors.DaemonUnreachable(
                f"no launcher daemon is running: {path} is there, but {why}",
                fix=_START,
            )
    where = ", ".join(path for path, _ in failed)
    return errors.DaemonUnreachable(
        f"no launcher daemon is running (there is no {where})",
        fix=f"{_START} Its socket may be elsewhere: name it in LAUNCHER_SOCKET.",
    )


def reply_error(response: Response, body: bytes) -> errors.LauncherError:
    """Return the error that a reply with another status than 2xx means."""
    try:
        reply = json.loads(body)
        error = errors.from_wire(str(reply["kind"]), str(reply["message"]), reply.get("fix"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return errors.LauncherError(f"the daemon answered with HTTP status {response.status}")
    if isinstance(error, errors.TooMany):
        after = response.headers.get("retry-after", "")
        error.retry_after = float(after) if after.isdecimal() else 1.0
    return error


def _frames(connection: HttpConnection) -> Iterator[Frame]:
    """Yield frames as soon as they are whole."""
    frames = FrameBuffer()
    while True:
        try:
            piece = connection.read_some()
        except (OSError, ProtocolError) as error:
            raise CutStream("the daemon went away in the middle of a stream") from error
        if not piece:
            return
        yield from frames.whole(piece)


class FrameBuffer:
    """Makes frames of the pieces in which they arrive."""

    def __init__(self) -> None:
        from launcher.wire import frames

        self._frames = frames
        self._rest = b""

    def whole(self, piece: bytes) -> list[Frame]:
        """Return the frames that are whole with this piece."""
        frames, header = self._frames, self._frames.FRAME_HEADER_BYTES
        data = self._rest + piece if self._rest else piece
        result = []
        at = 0
        while len(data) - at >= header:
            stream, time_ns, length = frames.decode_header(data[at : at + header])
            end = at + header + length
            if len(data) < end:
                break
            result.append(frames.Frame(stream, time_ns, data[at + header : end]))
            at = end
        self._rest = data[at:]
        return result
