"""Runs the output keeper, on a socket that is passed in or on its own."""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import os
import signal
import socket
import sys
from pathlib import Path

from launcher import passed_fds
from launcher.listening import bound, raise_file_limit
from launcher.output.keeper import Keeper

NICE = 5
"""Nice value: a loud job slows the keeper, not the daemon that started it."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until no output is left; with --listen, indefinitely. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launcher.output", description=__doc__)
    parser.add_argument("--listener", type=int, metavar="FD", help="a listening socket")
    parser.add_argument("--listen", type=Path, metavar="PATH", help="create a socket there")
    args = parser.parse_args(arguments)
    logging.basicConfig(format="output keeper: %(message)s")
    os.umask(0o077)
    raise_file_limit()
    with contextlib.suppress(PermissionError):  # it was started with a lower priority
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    if args.listen is not None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # pid 1 has no default action
        Keeper(bound(args.listen, 0o600, socket.SOCK_SEQPACKET), math.inf).serve()
        return 0
    fd = passed_fds.listener() if args.listener is None else args.listener
    if fd is None:
        parser.error("no socket was passed: use --listen, or start the systemd socket")
    Keeper(socket.socket(fileno=fd)).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
