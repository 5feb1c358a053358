"""Where a daemon may be listening, and what belongs to a user's own daemon."""

from __future__ import annotations

import os
from pathlib import Path

SYSTEM_SOCKET = "/run/launcher/launcher.sock"


def socket_candidates() -> list[str]:
    """Return the sockets to try, in order: ``LAUNCHER_SOCKET`` alone, or the system's, the own."""
    named = os.environ.get("LAUNCHER_SOCKET")
    return [named] if named else [SYSTEM_SOCKET, own_socket()]


def own_socket() -> str:
    """Return the socket of the user's own daemon."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return str(Path(runtime) / "launcher" / "launcher.sock")
    return str(Path.home() / ".local" / "state" / "launcher" / "launcher.sock")


def own_state_dir() -> str:
    """Return the state directory of the user's own daemon."""
    named = os.environ.get("LAUNCHER_STATE_DIR")
    if named:
        return named
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return str(Path(state) / "launcher")
