"""Runs the helper, on sockets that systemd passes or that it creates."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from launcher import passed_fds
from launcher.host.cgroup import unified_root
from launcher.host.helper.helper import Helper
from launcher.host.helper.jobs import Records
from launcher.host.places import Places
from launcher.host.plain import PlainPlaces
from launcher.host.systemd.units import BOOTED, SystemdPlaces
from launcher.listening import raise_file_limit

log = logging.getLogger(__name__)

DAEMONS, USERS = "daemons", "users"
"""The names of the sockets that systemd passes (FileDescriptorName=)."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until the helper is idle; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launcher.host", description=__doc__)
    parser.add_argument(
        "--records", type=Path, required=True, help="directory of the records, below /run"
    )
    passed = passed_fds.named()
    for flag, name in ((f"--{DAEMONS}", DAEMONS), (f"--{USERS}", USERS)):
        parser.add_argument(
            flag, type=int, default=passed.get(name), metavar="FD", help="a listening socket"
        )
    args = parser.parse_args(arguments)
    if args.daemons is None or args.users is None:
        parser.error("two sockets are needed: start launcher-host.socket, or pass them")
    logging.basicConfig(format="host jobs: %(message)s")
    os.umask(0o077)
    raise_file_limit()  # it has four per job
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    root = unified_root()
    if root is None:
        print("error: cgroup v2 is not mounted here", file=sys.stderr)  # noqa: T201
        return 1
    daemons, users = (socket.socket(fileno=fd) for fd in (args.daemons, args.users))
    Helper(daemons, users, Records(args.records), _places(root)).serve()
    return 0


def _places(root: Path) -> Places:
    if BOOTED.exists():
        try:
            return SystemdPlaces(root)
        except OSError as error:
            log.warning("systemd does not answer; creating cgroups without it: %s", error)
    return PlainPlaces(root)


if __name__ == "__main__":
    sys.exit(main())
