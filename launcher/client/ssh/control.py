"""Which connection ssh uses: the user's own master connection, or one for this client alone.

The user's is used if it is open, or if ssh is configured to open one that stays (ControlPersist).
"""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass

from launcher.client.ssh import failures
from launcher.client.ssh.address import SshAddress

ALIVE_SECONDS = 15
"""ssh asks the other machine this often whether it is there, unless the user's configuration has
another interval; after three times without a reply the connection is lost."""
CONNECT_SECONDS = 20
"""ssh tries to connect for this time, unless the user's configuration has another one."""
_MASTERS = ("true", "yes", "auto", "ask", "autoask")


@dataclass(frozen=True, slots=True)
class Control:
    """The options of the connection, and the path of its control socket."""

    options: tuple[str, ...]
    path: str
    is_shared: bool
    """Whether the connection is the user's, and stays when this client ends."""
    is_open: bool = False


def control_of(address: SshAddress, directory: str, *, ask: bool) -> Control:
    """Return the control of a connection; raises ``LauncherError``.

    ``directory`` takes the control socket of a connection for this client alone. Without ``ask``
    ssh fails instead of asking for a password or about a host key.
    """
    batch = () if ask else ("BatchMode=yes",)
    config = _configuration(address)
    limits = []
    if config.get("serveraliveinterval") == "0":
        limits += [f"ServerAliveInterval={ALIVE_SECONDS}", "ServerAliveCountMax=3"]
    if config.get("connecttimeout", "none") == "none":
        limits.append(f"ConnectTimeout={CONNECT_SECONDS}")
    path = config.get("controlpath", "none")
    if path != "none" and _is_open(path):
        return Control(_words(*batch, "ControlMaster=no"), path, is_shared=True, is_open=True)
    persists = config.get("controlpersist", "no") not in ("no", "false")
    if path != "none" and persists and config.get("controlmaster") in _MASTERS:
        return Control(_words(*batch, *limits), path, is_shared=True)
    path = f"{directory}/c"
    own = ("ControlMaster=yes", "ControlPersist=no", control_path(path))
    return Control(_words(*batch, *limits, *own), path, is_shared=False)


def control_path(path: str) -> str:
    """Return the option that names a control socket, whose path may have blanks."""
    return f'ControlPath="{escaped(path)}"'


def escaped(path: str) -> str:
    """Return a path as ssh's options have it, where % has a meaning."""
    return path.replace("%", "%%")


def _words(*options: str) -> tuple[str, ...]:
    return tuple(word for option in options for word in ("-o", option))


def _configuration(address: SshAddress) -> dict[str, str]:
    """Return the user's ssh configuration for this host, as ssh itself reads it."""
    try:
        done = subprocess.run(
            ["ssh", "-T", "-G", *address.words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise failures.no_program() from None
    if done.returncode:
        raise failures.failed(address, done.stderr, again=False)
    pairs = (line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    return {key: value for key, value in pairs}  # noqa: C416 - dict() has no type for lists


def _is_open(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
