"""Which process is the dockerd behind a socket."""

from __future__ import annotations

import socket
from pathlib import Path

from launcher.peers import peer_of

PROC = Path("/proc")


def dockerd_pid(host: str, timeout: float, proc: Path = PROC) -> int | None:
    """Return the pid of the dockerd behind a unix socket, None where it cannot be told.

    The kernel names who made the socket: dockerd, or systemd on its behalf (``-H fd://``); then
    root's one process of that name is meant. Any user can name a process like that, and run a
    dockerd of their own. Raises ``OSError`` while nobody listens.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(timeout)
        peer.connect(host.removeprefix("unix://"))
        pid = peer_of(peer).pid
    name = _name(proc, pid)
    if name == "dockerd":
        return pid
    if name != "systemd":  # a proxy, or a process that we do not see: any dockerd may be behind it
        return None
    pids = (int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())
    result = [each for each in pids if _name(proc, each) == "dockerd" and _is_roots(proc, each)]
    return result[0] if len(result) == 1 else None


def _is_roots(proc: Path, pid: int) -> bool:
    try:
        return (proc / str(pid)).stat().st_uid == 0
    except OSError:
        return False


def _name(proc: Path, pid: int) -> str | None:
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return None


def socket_was_replaced(host: str) -> bool:
    """Return whether this path still leads to a socket that was removed meanwhile.

    So it is where the socket itself is mounted into a container: a dockerd that makes it anew is
    not seen there. An inode without a name has no links (inode(7)).
    """
    try:
        return Path(host.removeprefix("unix://")).stat().st_nlink == 0
    except OSError:
        return False
