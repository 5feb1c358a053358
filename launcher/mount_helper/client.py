"""``Pins``: what the daemon asks of the helper, from any thread.

A connection is one request. A helper that went away is asked once more, by then started anew: every
request can be made twice.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.errors import InternalError, PinsUnavailable, UserError
from launcher.mount_helper import frames
from launcher.mount_helper.user_turns import UserTurns
from launcher.mount_helper.values import MOST_OPENINGS, MountRequest, User

log = logging.getLogger(__name__)

SECONDS = 60.0
"""A helper that does not answer within this time is unavailable."""
HELPER = (sys.executable, "-P", "-m", "launcher.mount_helper")
"""-P: nothing is imported from whatever directory this runs in."""
_END_SECONDS = 5.0
_START = (
    "Start it: `systemctl start launcher-pins.socket`, or with Docker Compose "
    "`docker compose up -d mounts`."
)

Connect = Callable[[], socket.socket]


@dataclass(frozen=True, slots=True)
class Ping:
    """How the helper is: ``trouble`` says why it can pin nothing, ``namespace`` is that of its
    mounts, as in /proc/PID/ns/mnt."""

    version: str
    namespace: str
    trouble: str | None


class Pins:
    """The mounts of users' containers. Safe in any thread.

    Every method raises ``PinsUnavailable`` where the helper cannot be reached or may not mount.
    """

    def __init__(self, connect: Connect, seconds: float = SECONDS) -> None:
        self._connect, self._seconds = connect, seconds
        self._held: set[str] = set()
        self._turns = UserTurns(MOST_OPENINGS)
        self._knows = False
        """Whether what was pinned before this began is known."""

    @classmethod
    def at(cls, path: str, seconds: float = SECONDS) -> Pins:
        """Return those of a helper that listens on a socket, started by systemd."""

        def connect() -> socket.socket:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(seconds)
                connection.connect(path)
            except BaseException:
                connection.close()
                raise
            return connection

        return cls(connect, seconds)

    def pin(
        self, container: str, mounts: Sequence[MountRequest], user: User, dockerd: int | None = None
    ) -> list[str]:
        """Hold the mounts for a container; returns the paths to tell Docker, in their order.

        ``dockerd`` is its pid: one in another mount namespace would mount empty places. What the
        container had before is removed. Raises ``PinRefused`` for what the user may not mount; what
        it had before stays then.
        """
        is_new = container not in self._held
        self._held.add(container)
        try:
            asked = {"container": container, "dockerd": dockerd, **_asked(mounts, user)}
            with self._turns.of(user.uid, self._seconds):
                paths = self._ask("pin", **asked)["paths"]
        except BaseException:
            if is_new:
                self._held.discard(container)
            raise
        return [str(path) for path in paths]

    def put_secrets(
        self, container: str, files: Mapping[str, bytes], user: User, dockerd: int | None = None
    ) -> str:
        """Mount these files in memory for a container, beside what is pinned; returns the path.

        What is in them goes over the helper's socket, and is quoted nowhere.
        """
        is_new = container not in self._held
        self._held.add(container)
        sent = {name: base64.b64encode(content).decode() for name, content in files.items()}
        try:
            return str(
                self._ask(
                    "secrets",
                    container=container,
                    secrets=sent,
                    uid=user.uid,
                    gid=user.gid,
                    dockerd=dockerd,
                )["path"]
            )
        except BaseException:
            if is_new:
                self._held.discard(container)
            raise

    def check(self, mounts: Sequence[MountRequest], user: User) -> None:
        """Raise ``PinRefused`` for what the user may not mount as things are now."""
        with self._turns.of(user.uid, self._seconds):
            self._ask("check", **_asked(mounts, user))

    def unpin(self, container: str) -> bool:
        """Take a container's pins away, also while it runs; whether it had any."""
        removed = bool(self._ask("unpin", container=container)["removed"])
        self._held.discard(container)
        return removed

    def release(self, container: str) -> None:
        """Remove a container's pins if it has any, or may have some from before a ``sweep``."""
        if not self._knows or container in self._held:
            self.unpin(container)

    def sweep(self, keep: Callable[[], Collection[str]], prefix: str) -> list[str]:
        """Know of what was pinned before for containers that begin with ``prefix``, and take away
        what is not to be kept; returns those containers.

        ``keep`` is asked once all of it is known: whoever is over by then, and not before, is known
        to ``release``. What was pinned here is left to that.
        """
        try:
            there = self._ask("list", prefix=prefix)["containers"]
            before = [name for name in there if name not in self._held]
            self._held.update(before)
        finally:
            self._knows = True
        names = keep()
        left = [name for name in before if name not in names]
        removed = list(self._ask("sweep", containers=left)["removed"]) if left else []
        self._held.difference_update(left)
        return removed

    def begin_anew(self) -> None:
        """Know that nothing was pinned before."""
        self._knows = True

    def ping(self) -> Ping:
        """Return how the helper is."""
        reply = self._ask("ping")
        return Ping(reply["version"], reply["namespace"], reply["trouble"])

    def _ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        request = frames.encoded({"do": verb, **fields})
        why = ended = "it ended before it answered; its log has more"
        for _ in range(2):
            try:
                with self._connect() as connection:
                    connection.settimeout(self._seconds)
                    with contextlib.suppress(BrokenPipeError):  # it may have said why
                        connection.sendall(request)
                        connection.shutdown(socket.SHUT_WR)
                    data = frames.receive(connection)
            except TimeoutError:
                raise PinsUnavailable(
                    f"the helper that makes mounts does not answer within {self._seconds:g} s"
                ) from None
            except OSError as error:
                why = ended if isinstance(error, ConnectionResetError) else _words(error)
                continue
            if data:
                return _read(data)
        raise PinsUnavailable(f"the helper that makes mounts cannot be reached: {why}", fix=_START)


def _words(error: OSError) -> str:
    return error.strerror or str(error)


def _asked(mounts: Iterable[MountRequest], user: User) -> dict[str, Any]:
    return {
        "mounts": [mount.as_json() for mount in mounts],
        "uid": user.uid,
        "gid": user.gid,
        "groups": list(user.groups),
    }


def _read(data: bytes) -> dict[str, Any]:
    try:
        answer = frames.decoded(data)
    except UserError as error:
        raise InternalError(f"the helper answered {data[:200]!r}") from error
    if "error" in answer:
        raise frames.error_of(answer)
    return answer


class RunningHelper:
    """A helper that is a child of this process, started when first needed and when it ended.

    It ends when this does: its end of a socket pair is closed then.
    """

    def __init__(self, directory: str, arguments: Sequence[str] = ()) -> None:
        self._arguments = ("--directory", directory, *arguments)
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The helper's pid, None where it was never started."""
        return self._process.pid if self._process else None

    def connect(self) -> socket.socket:
        """Return a connection to it; OSError where it cannot be started."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            for _ in range(2):
                channel = self._channel or self._start()
                try:
                    socket.send_fds(channel, [b"."], [theirs.fileno()])
                except OSError:
                    log.warning("the helper that makes mounts has ended; starting it again")
                    self._end()
                else:
                    return ours
        ours.close()
        raise OSError("the helper that makes mounts ends at once; its log says why")

    def close(self) -> None:
        """Let it end; what it pinned stays."""
        with self._lock:
            self._end()

    def _start(self) -> socket.socket:
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*HELPER, "--channel", str(theirs.fileno()), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,  # Ctrl-C is the daemon's: it may still have pins to take away
            )
        return self._channel

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
                return
            self._process.kill()
            self._process.wait()


def spawned(directory: str, arguments: Sequence[str] = (), seconds: float = SECONDS) -> Pins:
    """Return the pins in ``directory``, made by a helper of this process's own."""
    return Pins(RunningHelper(directory, arguments).connect, seconds)
