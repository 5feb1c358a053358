"""Starts the user's own daemon in the background if none runs, as tmux starts its server.

Only without ``LAUNCHER_SOCKET``, system socket and system unit, and if the caller may use Docker.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.client import sockets
from launcher.client.sockets import answers
from launcher.config.docker_context import docker_host
from launcher.errors import DaemonUnreachable

if TYPE_CHECKING:
    import subprocess

IDLE_EXIT_SECONDS = 600
START_SECONDS = 30.0
UNITS = tuple(
    f"{place}/systemd/system/launcher.service"
    for place in ("/etc", "/run", "/lib", "/usr/lib", "/usr/local/lib")
)
"""A system service that has one of these may be slow to start: no per-user daemon beside it."""

_POLL_SECONDS = 0.02
_LOG_LINES = 10

_started: list[subprocess.Popen[bytes]] = []
"""Referenced, to avoid a ResourceWarning: the daemon must outlive its starter."""


def ensure_daemon() -> bool:
    """Start the user's own daemon if none runs and one is allowed; return whether it did."""
    if any(answers(path) for path in sockets.socket_candidates()):
        return False
    state = Path(sockets.own_state_dir())
    path = sockets.own_socket()
    try:
        if not _is_ours_to_start():
            return False
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(state / "autostart.lock"):
            if answers(path):
                return False
            log = state / "daemon.log"
            _wait_for(path, _spawn(path, state, log), log)
    except OSError as error:
        raise DaemonUnreachable(
            f"cannot start a per-user daemon: {error.strerror}: {error.filename}",
            fix="Start one by hand with `launch serve`.",
        ) from error
    return True


def docker_socket() -> str | None:
    """Return the caller's local Docker socket, None if it is remote."""
    host = docker_host()
    return host.removeprefix("unix://") if host.startswith("unix://") else None


def _is_ours_to_start() -> bool:
    if os.environ.get("LAUNCHER_AUTOSTART") == "0" or os.environ.get("LAUNCHER_SOCKET"):
        return False
    if Path(sockets.SYSTEM_SOCKET).exists() or any(Path(unit).exists() for unit in UNITS):
        return False
    docker = docker_socket()
    if docker is None:
        raise DaemonUnreachable(
            "no launcher daemon is running, and none can be started: your Docker"
            f" ({docker_host()}) is not a local socket",
            fix="Set DOCKER_HOST to unix:///path/of/the/socket, or `docker context use default`.",
        )
    if not answers(docker):
        raise DaemonUnreachable(
            f"no launcher daemon is running, and you cannot use Docker on {docker}",
            fix="Ask for the launcher's service to be started, or start Docker.",
        )
    return True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock, so that two callers do not start two daemons."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _spawn(path: str, state: Path, log: Path) -> subprocess.Popen[bytes]:
    import subprocess  # takes a millisecond that every other command would feel

    command = [sys.executable, "-m", "launcher", "serve", "--idle-exit", str(IDLE_EXIT_SECONDS)]
    command += ["--socket", path, "--state-dir", str(state)]
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )
    _started.append(child)
    return child


def _wait_for(path: str, child: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not answers(path):
        code = child.poll()
        if code is not None:
            raise _did_not_start(f"it ended with exit status {code}", log)
        if time.monotonic() >= until:
            raise _did_not_start(f"it did not answer within {START_SECONDS:g} s", log)
        time.sleep(_POLL_SECONDS)


def _did_not_start(why: str, log: Path) -> DaemonUnreachable:
    try:
        lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    except OSError:
        lines = []
    log_lines = "".join(f"\n    {line}" for line in lines)
    return DaemonUnreachable(
        f"a per-user daemon was started, but {why}{':' if log_lines else ''}{log_lines}",
        fix=f"Its log is {log}; `launch serve` runs it in the foreground.",
    )
