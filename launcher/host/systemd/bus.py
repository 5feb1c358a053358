"""The helper's calls to systemd over the system bus (org.freedesktop.systemd1(5)).

Calls block until a deadline. Each connection serves one operation, so that a restart of the bus
does no harm.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jeepney import Message
    from jeepney.io.blocking import DBusConnection

SERVICE, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER = f"{SERVICE}.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
_GONE = (f"{SERVICE}.NoSuchUnit", "org.freedesktop.DBus.Error.UnknownObject")

Property = tuple[str, tuple[str, Any]]


class SystemdError(OSError):
    """systemd refused a request; ``name`` is the D-Bus error."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(errno.EREMOTEIO, f"systemd: {message}")
        self.name = name


class Systemd:
    """One connection to systemd. Methods raise ``OSError``."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self._is_subscribed = False

    def call(
        self, method: str, signature: str = "", *body: Any, at: str = PATH, of: str = MANAGER
    ) -> tuple[Any, ...]:
        """Call a method of an object and return its reply."""
        from jeepney import DBusAddress, new_method_call

        address = DBusAddress(at, SERVICE, of)
        return self._call(new_method_call(address, method, signature or None, body))

    def property(self, name: str, at: str = PATH, of: str = MANAGER) -> Any:
        """Return a property of an object."""
        return self.call("Get", "ss", of, name, at=at, of=PROPERTIES)[0][1]

    def start(self, unit: str, properties: Sequence[Property]) -> str:
        """Start a transient unit; return the result of its start: "done" if it runs."""
        signature = "ssa(sv)a(sa(sv))"
        return self._job("StartTransientUnit", signature, unit, "fail", list(properties), [])

    def forget(self, unit: str) -> None:
        """Stop and unload a unit; one that is not loaded is ignored."""
        with ignored_if_gone():
            self._job("StopUnit", "ss", unit, "replace")
        with ignored_if_gone():
            self.call("ResetFailedUnit", "s", unit)

    def units(self, pattern: str) -> list[str]:
        """Return the names of the units that are loaded and match a pattern of fnmatch(3)."""
        (result,) = self.call("ListUnitsByPatterns", "asas", [], [pattern])
        return [str(unit[0]) for unit in result]

    def _job(self, method: str, signature: str, *body: Any) -> str:
        """Call a method that creates a systemd job; return the job's result."""
        from jeepney import MatchRule

        self._subscribe()
        # Without the sender, which the bus reports by its unique name.
        local = MatchRule(type="signal", interface=MANAGER, member="JobRemoved", path=PATH)
        with self._connection.filter(local, queue=deque()) as removed:
            (job,) = self.call(method, signature, *body)
            while True:
                signal = self._connection.recv_until_filtered(removed)
                _, path, _, result = signal.body
                if path == job:
                    return str(result)

    def _subscribe(self) -> None:
        from jeepney import MatchRule, message_bus

        if not self._is_subscribed:
            rule = MatchRule(type="signal", sender=SERVICE, interface=MANAGER, member="JobRemoved")
            self._call(message_bus.AddMatch(rule))
            self.call("Subscribe")
            self._is_subscribed = True

    def path(self, unit: str) -> str:
        """Return the object path of a loaded unit."""
        return str(self.call("GetUnit", "s", unit)[0])

    def _call(self, message: Message) -> tuple[Any, ...]:
        from jeepney import HeaderFields, MessageType

        reply = self._connection.send_and_get_reply(message)
        if reply.header.message_type is MessageType.error:
            name = str(reply.header.fields.get(HeaderFields.error_name))
            raise SystemdError(name, str(reply.body[0]) if reply.body else name)
        return tuple(reply.body)


@contextlib.contextmanager
def ignored_if_gone() -> Iterator[None]:
    """Ignore the error that systemd does not know a unit."""
    try:
        yield
    except SystemdError as error:
        if error.name not in _GONE:
            raise


@contextlib.contextmanager
def systemd(seconds: float) -> Iterator[Systemd]:
    """Yield a connection to systemd for at most this time. It may pass file descriptors."""
    from jeepney import AuthenticationError
    from jeepney.wrappers import DBusErrorResponse

    try:
        with _connected(time.monotonic() + seconds) as connection:
            yield Systemd(connection)
    except TimeoutError as error:
        raise SystemdError("", f"no answer within {seconds:g} seconds") from error
    except (AuthenticationError, DBusErrorResponse) as error:
        raise SystemdError("", f"the system bus refused a connection: {error}") from error


def _connected(until: float) -> DBusConnection:
    """Return a connection whose calls end before ``until`` (time.monotonic())."""
    from jeepney.bus import get_bus
    from jeepney.io.blocking import DBusConnection, prep_socket

    def left() -> float:
        return max(0.0, until - time.monotonic())

    class Timed(DBusConnection):  # type: ignore[misc]
        def receive(self, *, timeout: float | None = None) -> Message:
            return super().receive(timeout=left() if timeout is None else min(timeout, left()))

    sock = prep_socket(get_bus("SYSTEM"), enable_fds=True, timeout=left())
    sock.settimeout(left())
    try:
        return Timed(sock, enable_fds=True)
    except BaseException:
        sock.close()
        raise
