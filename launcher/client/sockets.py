"""The paths where a daemon may listen."""

from __future__ import annotations

import os
import socket

from launcher.config.default_paths import SYSTEM_SOCKET, own_socket, own_state, socket_in_state

__all__ = ["SYSTEM_SOCKET", "answers", "own_socket", "own_state_dir", "socket_candidates"]


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
