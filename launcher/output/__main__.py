"""``python -m launcher.output``: the output keeper, on a socket that systemd or a daemon passed."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys

from launcher import passed_fds
from launcher.output.keeper import Keeper

NICE = 5
"""A loud job takes time from itself, not from the daemon that started this."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until there is nothing left to keep; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launcher.output", description=__doc__)
    parser.add_argument("--listener", type=int, metavar="FD", help="a listening socket")
    asked = parser.parse_args(arguments)
    logging.basicConfig(format="output keeper: %(message)s")
    fd = passed_fds.listener() if asked.listener is None else asked.listener
    if fd is None:
        parser.error("no socket was passed: use --listener, or start it by its systemd socket")
    os.umask(0o077)
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    Keeper(socket.socket(fileno=fd)).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
