"""``python -m launcher.mount_helper``: the helper, on a passed socket or its own.

In a container it joins the mount namespace of dockerd first (``--docker-host``): everything that it
needs of its own image is imported by then.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator

from launcher.dockerd import dockerd_pid
from launcher.errors import LauncherError, PinsUnavailable, UserError
from launcher.mount_helper.requests import OPENING_SECONDS, HelperSettings, answer
from launcher.mount_helper.server import accepted, bound, handed_over, serve, systemd_listener
from launcher.mount_helper.slots import Slots
from launcher.mount_helper.syscalls import join_mounts_of
from launcher.mount_helper.values import MOST_ID, MOST_MOUNTS, check_root

_MORE_SECONDS = 60.0
_CONNECT_SECONDS = 10.0
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
"""What /proc/PID/mountinfo shows as it is."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until the daemon that passed a socket pair is gone; returns the exit code."""
    asked = _parser().parse_args(arguments)
    logging.basicConfig(format="pins: %(message)s")
    try:
        check_root(asked.directory)
        if not _PLAIN.fullmatch(asked.directory):
            raise UserError(f"directory of pins: {asked.directory!r} has more than a-z A-Z 0-9 ._-")
        connections = _connections(asked)
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    os.umask(0o022)
    settings = HelperSettings(asked.directory, Slots(), asked.opening_seconds, asked.allow_root)
    uids = frozenset({0, *asked.daemon_uid})
    seconds = asked.opening_seconds * MOST_MOUNTS + _MORE_SECONDS
    serve(connections, functools.partial(answer, settings), uids, seconds)
    return 0


def _connections(asked: argparse.Namespace) -> Iterator[socket.socket]:
    try:
        if asked.docker_host is not None:
            join_mounts_of(_dockerd(asked.docker_host))
        if asked.listen is not None:
            return accepted(bound(asked.listen))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise PinsUnavailable(
            f"the helper that makes mounts cannot start: {place}{error.strerror}",
            fix="In a container it needs `pid: host` and the capabilities of compose/compose.yaml.",
        ) from error
    if asked.channel is not None:
        return handed_over(socket.socket(fileno=asked.channel))
    listener = systemd_listener()
    if listener is None:
        raise UserError(
            "nobody passed a socket",
            fix="systemd does (sd_listen_fds(3)), or a daemon with --channel; or name --listen.",
        )
    return accepted(listener)


def _dockerd(host: str) -> int:
    try:
        pid = dockerd_pid(host, _CONNECT_SECONDS)
    except OSError as error:
        raise PinsUnavailable(f"cannot reach Docker at {host}: {error.strerror}") from error
    if pid is None:
        raise PinsUnavailable(
            f"cannot tell which process is the dockerd of {host}",
            fix="In a container the helper needs `pid: host`.",
        )
    return pid


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m launcher.mount_helper", description=__doc__)
    parser.add_argument("--directory", required=True, help="where the pins are, root's alone")
    parser.add_argument(
        "--daemon-uid",
        type=_uid,
        action="append",
        default=[],
        metavar="UID",
        help="who may ask besides root",
    )
    parser.add_argument("--allow-root", action="store_true", help="also pin for uid 0")
    parser.add_argument(
        "--opening-seconds",
        type=float,
        default=OPENING_SECONDS,
        metavar="S",
        help="how long one place may take to open (default: %(default)g)",
    )
    parser.add_argument("--channel", type=int, metavar="FD", help="a socket pair's end")
    parser.add_argument("--listen", metavar="PATH", help="a socket to make, root's alone")
    parser.add_argument(
        "--docker-host", metavar="URL", help="work in the mount namespace of this dockerd"
    )
    return parser


def _uid(text: str) -> int:
    uid = int(text)
    if not 0 < uid <= MOST_ID:
        raise ValueError(text)
    return uid


if __name__ == "__main__":
    sys.exit(main())
