"""Where a daemon may be listening, and what belongs to a user's own daemon."""

from __future__ import annotations

import os
import socket

SYSTEM_SOCKET = "/run/launcher/launcher.sock"


def socket_candidates() -> list[str]:
    """Return the sockets to try, in order: ``LAUNCHER_SOCKET`` alone, or the system's, the own."""
    named = os.environ.get("LAUNCHER_SOCKET")
    return [named] if named else list(dict.fromkeys([SYSTEM_SOCKET, own_socket(), _in_state()]))


def answers(path: str) -> bool:
    """Return whether somebody listens on this socket (and the caller may connect)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def own_socket() -> str:
    """Return the socket of the user's own daemon."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and _is_ours(runtime):
        return f"{runtime}/launcher/launcher.sock"
    return _in_state()


def own_state_dir() -> str:
    """Return the state directory of the user's own daemon."""
    named = os.environ.get("LAUNCHER_STATE_DIR")
    if named:
        return named
    return _state()


def _state() -> str:
    state = os.environ.get("XDG_STATE_HOME") or f"{_home()}/.local/state"
    return f"{state}/launcher"


def _in_state() -> str:
    """The own socket where there is no runtime directory."""
    return f"{_state()}/launcher.sock"


def _is_ours(directory: str) -> bool:
    """Whether the caller owns it: under sudo the variable may still name another user's."""
    try:
        return os.stat(directory).st_uid == os.getuid()  # noqa: PTH116
    except OSError:
        return False


def _home() -> str:
    """The home directory (``pathlib`` would be loaded by every verb for this alone)."""
    return os.path.expanduser("~")  # noqa: PTH111
