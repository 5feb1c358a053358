"""Runs the mount helper, on a socket that is passed in or on its own.

In a container it first joins the mount namespace of dockerd (``--docker-host``). By then it has
imported everything that it needs from its own image.
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
"""Characters that /proc/PID/mountinfo shows unescaped."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until the daemon that passed a socket pair is gone; return the exit code."""
    args = _parser().parse_args(arguments)
    logging.basicConfig(format="pins: %(message)s")
    try:
        check_root(args.directory)
        if not _PLAIN.fullmatch(args.directory):
            raise UserError(f"directory of pins: {args.directory!r} may have a-z A-Z 0-9 ._-/")
        connections = _connections(args)
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    os.umask(0o022)
    settings = HelperSettings(args.directory, Slots(), args.opening_seconds, args.allow_root)
    uids = frozenset({0, *args.daemon_uid})
    seconds = args.opening_seconds * MOST_MOUNTS + _MORE_SECONDS
    serve(connections, functools.partial(answer, settings), uids, seconds)
    return 0


def _connections(args: argparse.Namespace) -> Iterator[socket.socket]:
    try:
        if args.docker_host is not None:
            join_mounts_of(_dockerd(args.docker_host))
        if args.listen is not None:
            return accepted(bound(args.listen))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise PinsUnavailable(
            f"the mount helper cannot start: {place}{error.strerror}",
            fix="In a container it needs `pid: host` and the capabilities of compose/compose.yaml.",
        ) from error
    if args.channel is not None:
        return handed_over(socket.socket(fileno=args.channel))
    listener = systemd_listener()
    if listener is None:
        raise UserError(
            "no socket was passed",
            fix="Start it with systemd (sd_listen_fds(3)), or use --channel or --listen.",
        )
    return accepted(listener)


def _dockerd(host: str) -> int:
    try:
        pid = dockerd_pid(host, _CONNECT_SECONDS)
    except OSError as error:
        raise PinsUnavailable(f"cannot reach Docker at {host}: {error.strerror}") from error
    if pid is None:
        raise PinsUnavailable(
            f"cannot find the process of the dockerd at {host}",
            fix="In a container the helper needs `pid: host`.",
        )
    return pid


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m launcher.mount_helper", description=__doc__)
    parser.add_argument("--directory", required=True, help="directory of the pins, owned by root")
    parser.add_argument(
        "--daemon-uid",
        type=_uid,
        action="append",
        default=[],
        metavar="UID",
        help="uid that may send requests, besides root",
    )
    parser.add_argument("--allow-root", action="store_true", help="also pin for uid 0")
    parser.add_argument(
        "--opening-seconds",
        type=float,
        default=OPENING_SECONDS,
        metavar="S",
        help="how long one place may take to open (default: %(default)g)",
    )
    parser.add_argument("--channel", type=int, metavar="FD", help="one end of a socket pair")
    parser.add_argument("--listen", metavar="PATH", help="socket to create, for root only")
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
