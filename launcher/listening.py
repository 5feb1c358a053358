"""Listening unix sockets: their modes, their directories, and the acceptance of connections."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

BACKLOG = 128
RETRY_SECONDS = 1.0
"""The pause after a connection could not be accepted, as in asyncio."""

SHARE_OF_FREE = 8


def most_of_user(most: int, free: int) -> int:
    """Return how many places one user may have of a number that all users share.

    That is ``most``, or an eighth of the ``free`` ones if those are scarce. So a few users who act
    together cannot take all places: their shares shrink, and another user still gets some.
    """
    return min(most, max(free // SHARE_OF_FREE, int(free > 0)))


def raise_file_limit() -> None:
    """Allow this process as many open files as the system lets it have."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listening(
    path: str, mode: int, kind: socket.SocketKind = socket.SOCK_STREAM, backlog: int = BACKLOG
) -> socket.socket:
    """Return a socket that listens at a path where nothing is yet; raises ``OSError``.

    It never has more than its mode. Linux makes the file with the mode of the unbound socket, less
    the umask, which other threads need.
    """
    listener = socket.socket(socket.AF_UNIX, kind)
    try:
        os.fchmod(listener.fileno(), mode)
        listener.bind(path)
        os.chmod(path, mode)  # noqa: PTH101
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def own_directory(directory: Path, mode: int) -> None:
    """Make a directory for sockets, or check that an existing one belongs to this user.

    Raises ``OSError`` for another user's directory and for a symlink: its owner could replace the
    sockets.
    """
    directory.mkdir(mode, parents=True, exist_ok=True)
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        text = f"{directory} is a symlink and not a directory: remove it"
        raise NotADirectoryError(errno.ENOTDIR, text) from error
    try:
        if (owner := os.fstat(fd).st_uid) != os.geteuid():
            text = f"{directory} belongs to uid {owner} and not to uid {os.geteuid()}: remove it"
            raise PermissionError(errno.EPERM, text)
        os.fchmod(fd, mode)  # whatever the umask
    finally:
        os.close(fd)


@contextlib.contextmanager
def short(directory: Path) -> Iterator[str]:
    """Yield a path to a directory that fits into a socket address (108 bytes, unix(7))."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def bound(path: Path, mode: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """Return a socket that listens at a path of any length, in place of what was left there.

    Raises ``OSError``.
    """
    path.unlink(missing_ok=True)
    with short(path.parent) as place:
        return listening(f"{place}/{path.name}", mode, kind)


def bound_paths() -> set[str]:
    """Return the paths of the sockets that processes have bound (unix(7)); raises ``OSError``."""
    rows = Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()[1:]
    return {row.split(maxsplit=7)[7] for row in rows if len(row.split(maxsplit=7)) == 8}


class Acceptor:
    """Accepts the connections of one listening socket, in an event loop.

    It pauses after a failure. A socket whose connections cannot be accepted stays readable, so the
    loop would spin until descriptors are free again.
    """

    def __init__(
        self,
        listener: socket.socket,
        watch: Callable[[bool], None],
        report: Callable[[str], None],
        later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        """``watch`` makes the loop wait for the socket, or not.

        ``report`` gets one text for each series of failures. ``later`` calls a function after some
        seconds; a loop without it calls ``resume_if_due``.
        """
        listener.setblocking(False)
        self._listener, self._watch, self._report, self._later = listener, watch, report, later
        self._until: float | None = None
        self._is_reported = False
        watch(True)

    def accept(self) -> socket.socket | None:
        """Return the next connection; None if there is none, or if it could not be accepted."""
        try:
            connection = self._listener.accept()[0]
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return None
        except OSError as error:
            self._pause(error)
            return None
        self._is_reported = False
        return connection

    def patience(self) -> float | None:
        """Return the seconds until ``resume_if_due`` has to be called; None for any time."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def resume_if_due(self) -> None:
        """Accept connections again if the pause is over."""
        if self._until is not None and time.monotonic() >= self._until:
            self._resume()

    def _pause(self, error: OSError) -> None:
        if not self._is_reported:
            self._is_reported = True
            self._report(f"cannot accept connections, trying again: {error.strerror}")
        self._watch(False)
        self._until = time.monotonic() + RETRY_SECONDS
        if self._later is not None:
            self._later(RETRY_SECONDS, self._resume)

    def _resume(self) -> None:
        self._until = None
        if self._listener.fileno() >= 0:
            self._watch(True)
