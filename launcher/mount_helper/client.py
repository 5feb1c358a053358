"""``Pins``: the daemon's client of the helper, safe in any thread.

A connection carries one request. If the helper has gone away, the request is sent once more to a
new one: every request is idempotent.
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
from dataclasses import asdict, dataclass
from typing import Any

from launcher.errors import InternalError, PinsUnavailable, UserError
from launcher.homes.values import DiskUse, HomeRequest, HomeUse
from launcher.mount_helper import frames
from launcher.mount_helper.user_turns import UserTurns
from launcher.mount_helper.values import MOST_OPENINGS, MountRequest, User

log = logging.getLogger(__name__)

SECONDS = 60.0
"""The helper counts as unavailable after this time without a reply."""
HELPER = (sys.executable, "-P", "-m", "launcher.mount_helper")
"""-P: nothing is imported from the working directory."""
_END_SECONDS = 5.0
_START = (
    "Start it: `systemctl start launcher-pins.socket`, or with Docker Compose "
    "`docker compose up -d mounts`."
)

Connect = Callable[[], socket.socket]


@dataclass(frozen=True, slots=True)
class Ping:
    """The helper's state: ``trouble`` says why it cannot pin, ``namespace`` is its mount namespace
    as in /proc/PID/ns/mnt."""

    version: str
    namespace: str
    trouble: str | None


class Pins:
    """The mounts of users' containers. Safe in any thread.

    Every method raises ``PinsUnavailable`` if the helper cannot be reached or may not mount.
    """

    def __init__(self, connect: Connect, seconds: float = SECONDS) -> None:
        self._connect, self._seconds = connect, seconds
        self._held: set[str] = set()
        self._turns = UserTurns(MOST_OPENINGS)
        self._knows = False
        """Whether the pins of earlier daemons are known."""

    @classmethod
    def at(cls, path: str, seconds: float = SECONDS) -> Pins:
        """Return a client of the helper that listens on a socket, started by systemd."""

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
        """Pin the mounts for a container; returns the paths for Docker, in the same order.

        ``dockerd`` is its pid: a dockerd in another mount namespace would mount empty places. The
        container's earlier pins are replaced. Raises ``PinRefused`` for what the user may not
        mount; the earlier pins then stay.
        """
        is_new = container not in self._held
        self._held.add(container)
        try:
            fields = {"container": container, "dockerd": dockerd, **_mount_fields(mounts, user)}
            with self._turns.of(user.uid, self._seconds):
                paths = self._request("pin", **fields)["paths"]
        except BaseException:
            if is_new:
                self._held.discard(container)
            raise
        return [str(path) for path in paths]

    def put_secrets(
        self, container: str, files: Mapping[str, bytes], user: User, dockerd: int | None = None
    ) -> str:
        """Mount these files in memory for a container, beside its pins; returns the path.

        The content goes over the helper's socket only, never into a log or an error.
        """
        is_new = container not in self._held
        self._held.add(container)
        sent = {name: base64.b64encode(content).decode() for name, content in files.items()}
        try:
            return str(
                self._request(
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
        """Raise ``PinRefused`` for a mount that the user may not have at present."""
        with self._turns.of(user.uid, self._seconds):
            self._request("check", **_mount_fields(mounts, user))

    def unpin(self, container: str) -> bool:
        """Remove a container's pins, even while it runs; return whether it had any."""
        removed = bool(self._request("unpin", container=container)["removed"])
        self._held.discard(container)
        return removed

    def release(self, container: str) -> None:
        """Remove a container's pins if it has any, or may have some from before a ``sweep``."""
        if not self._knows or container in self._held:
            self.unpin(container)

    def sweep(self, live_containers: Callable[[], Collection[str]], prefix: str) -> list[str]:
        """Remove earlier pins of containers named ``prefix``... that are not to stay; returns them.

        ``live_containers`` is called after the pins are listed: a container that ends meanwhile is
        left to ``release``. Pins made by this client are not touched.
        """
        try:
            pinned = self._request("list", prefix=prefix)["containers"]
            before = [name for name in pinned if name not in self._held]
            self._held.update(before)
        finally:
            self._knows = True
        live = live_containers()
        left = [name for name in before if name not in live]
        removed = list(self._request("sweep", containers=left)["removed"]) if left else []
        self._held.difference_update(left)
        return removed

    def make_home(self, directory: str, request: HomeRequest) -> None:
        """Make a container's directories below the directory of all homes."""
        self._request("home", homes=directory, **asdict(request))

    def homes(self, directory: str, prefix: str) -> list[str]:
        """Return the containers that have directories and whose names start with ``prefix``."""
        return list(self._request("homes", homes=directory, prefix=prefix)["containers"])

    def users_with_caches(self, directory: str) -> list[int]:
        """Return the uids that have a cache."""
        return list(self._request("homes", homes=directory, prefix="")["uids"])

    def retire_homes(
        self, directory: str, containers: Collection[str] = (), uids: Collection[int] = ()
    ) -> None:
        """Take containers' directories and users' caches out of use."""
        fields = {"homes": directory, "containers": list(containers), "uids": list(uids)}
        self._request("retire", **fields)

    def empty_homes(self, directory: str) -> bool:
        """Delete what is out of use, for a moment; returns whether something is left."""
        return bool(self._request("empty", homes=directory)["left"])

    def measure_homes(
        self, directory: str, containers: Collection[str], uids: Collection[int]
    ) -> HomeUse:
        """Return the disk space of containers' directories and users' caches."""
        fields = {"homes": directory, "containers": list(containers), "uids": list(uids)}
        reply = self._request("measure", **fields)
        jobs = {str(name): DiskUse(**use) for name, use in reply["jobs"].items()}
        caches = {int(uid): DiskUse(**use) for uid, use in reply["caches"].items()}
        return HomeUse(jobs, caches, int(reply["size"]))

    def assume_no_pins(self) -> None:
        """Assume that no earlier pins exist."""
        self._knows = True

    def ping(self) -> Ping:
        """Return the helper's state."""
        reply = self._request("ping")
        return Ping(reply["version"], reply["namespace"], reply["trouble"])

    def _request(self, verb: str, **fields: Any) -> dict[str, Any]:
        request = frames.encoded({"do": verb, **fields})
        why = ended = "it ended before it replied; see its log"
        for _ in range(2):
            try:
                with self._connect() as connection:
                    connection.settimeout(self._seconds)
                    with contextlib.suppress(BrokenPipeError):  # it may have sent its reason
                        connection.sendall(request)
                        connection.shutdown(socket.SHUT_WR)
                    data = frames.receive(connection)
            except TimeoutError:
                raise PinsUnavailable(
                    f"the mount helper does not answer within {self._seconds:g} s"
                ) from None
            except OSError as error:
                why = ended if isinstance(error, ConnectionResetError) else _reason(error)
                continue
            if data:
                return _parse_reply(data)
        raise PinsUnavailable(f"the mount helper cannot be reached: {why}", fix=_START)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _mount_fields(mounts: Iterable[MountRequest], user: User) -> dict[str, Any]:
    return {
        "mounts": [mount.as_json() for mount in mounts],
        "uid": user.uid,
        "gid": user.gid,
        "groups": list(user.groups),
    }


def _parse_reply(data: bytes) -> dict[str, Any]:
    try:
        answer = frames.decoded(data)
    except UserError as error:
        raise InternalError(f"unexpected reply from the mount helper: {data[:200]!r}") from error
    if "error" in answer:
        refused = frames.error_of(answer)
        if refused.message.startswith("do: "):  # it does not know the request
            raise PinsUnavailable(
                "the mount helper is of another version than the daemon",
                fix="Restart it: `systemctl restart launcher-pins.service`. Its mounts stay.",
            )
        raise refused
    return answer


class RunningHelper:
    """A helper that runs as a child; started when first needed, and again if it has ended.

    The child ends with this process, which closes its end of the socket pair.
    """

    def __init__(self, directory: str, arguments: Sequence[str] = ()) -> None:
        self._arguments = ("--directory", directory, *arguments)
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The helper's pid, None if it was never started."""
        return self._process.pid if self._process else None

    def connect(self) -> socket.socket:
        """Return a connection to the helper; raises OSError if it cannot be started."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            for _ in range(2):
                channel = self._channel or self._start()
                try:
                    socket.send_fds(channel, [b"."], [theirs.fileno()])
                except OSError:
                    log.warning("the mount helper has ended; starting it again")
                    self._end()
                else:
                    return ours
        ours.close()
        raise OSError("the mount helper ends at once; see its log")

    def close(self) -> None:
        """Stop the helper; its pins stay."""
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
                process_group=0,  # Ctrl-C must not stop it: the daemon may still remove pins
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
    """Return a client of a helper that this process starts, for the pins in ``directory``."""
    return Pins(RunningHelper(directory, arguments).connect, seconds)
