"""The paths where a daemon may listen."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from launcher.config.default_paths import SYSTEM_SOCKET, own_socket, own_state, socket_in_state
from launcher.errors import UserError

__all__ = [
    "SYSTEM_SOCKET", "DaemonPlace", "answers", "checked_address", "named_daemon",
    "own_socket", "own_state_dir", "place_of", "socket_candidates",
]  # fmt: skip


class DaemonPlace(NamedTuple):
    """Where a daemon listens: on the first of ``sockets`` that answers, or behind ``ssh``."""

    sockets: list[str]
    ssh: str | None


def named_daemon() -> str | None:
    """Return the daemon that LAUNCHER_HOST names, None if it is not set or empty."""
    host = os.environ.get("LAUNCHER_HOST") or None
    if host and os.environ.get("LAUNCHER_SOCKET"):
        raise UserError(
            "LAUNCHER_HOST and LAUNCHER_SOCKET are both set, and each names a daemon",
            fix="Unset one of them: LAUNCHER_SOCKET is for a socket of this machine alone.",
        )
    return checked_address(host) if host else None


def checked_address(text: str) -> str:
    """Return the address if it has a known scheme, which ``ssh://`` and ``unix://`` are."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("ssh", "unix") or (scheme == "unix" and rest[:1] != "/"):
        raise UserError(
            f"'{text[:200]}' is not a valid address of a daemon",
            fix="Write ssh://USER@HOST or unix:///PATH/OF/THE/SOCKET.",
        )
    return text


def place_of(daemon: str | None) -> DaemonPlace:
    """Return the place of a daemon: a path, ``unix:///PATH`` or ``ssh://...``; None: by default.

    Raises ``UserError``.
    """
    daemon = daemon or named_daemon()
    if daemon is None:
        return DaemonPlace(socket_candidates(), None)
    if "://" not in daemon:
        return DaemonPlace([daemon], None)
    scheme, _, path = checked_address(daemon).partition("://")
    return DaemonPlace([], daemon) if scheme == "ssh" else DaemonPlace([path], None)


def socket_candidates() -> list[str]:
    """Return the sockets to try, in order: ``LAUNCHER_SOCKET`` only, or the system's, then own."""
    named = os.environ.get("LAUNCHER_SOCKET")
    result = [named] if named else [SYSTEM_SOCKET, own_socket(), socket_in_state()]
    return list(dict.fromkeys(result))


def answers(path: str) -> bool:
    """Return whether a process listens on this socket and the caller may connect."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def own_state_dir() -> str:
    """Return the state directory of the user's own daemon."""
    return os.environ.get("LAUNCHER_STATE_DIR") or own_state()
