"""``python -m launcher.output``: the output keeper, on a socket that is passed or that it makes."""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import socket
import sys
from pathlib import Path

from launcher import passed_fds
from launcher.listening import listening
from launcher.output.keeper import Keeper

NICE = 5
"""A loud job takes time from itself, not from the daemon that started this."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until there is nothing left to keep, on a socket of its own for good; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launcher.output", description=__doc__)
    parser.add_argument("--listener", type=int, metavar="FD", help="a listening socket")
    parser.add_argument("--listen", type=Path, metavar="PATH", help="make a socket there")
    asked = parser.parse_args(arguments)
    logging.basicConfig(format="output keeper: %(message)s")
    os.umask(0o077)
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    if asked.listen is not None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # nothing ends a pid 1 by default
        Keeper(_bound(asked.listen), math.inf).serve()
        return 0
    fd = passed_fds.listener() if asked.listener is None else asked.listener
    if fd is None:
        parser.error("no socket was passed: use --listen, or start it by its systemd socket")
    Keeper(socket.socket(fileno=fd)).serve()
    return 0


def _bound(path: Path) -> socket.socket:
    """Return a listening socket in the place of one that an earlier keeper left."""
    path.unlink(missing_ok=True)
    return listening(str(path), 0o600, socket.SOCK_SEQPACKET)


if __name__ == "__main__":
    sys.exit(main())
