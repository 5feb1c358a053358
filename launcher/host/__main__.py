"""``python -m launcher.host``: the helper, on sockets that systemd passes or that it makes."""

from __future__ import annotations

import argparse
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from launcher.host.cgroup import unified_root
from launcher.host.helper import Helper
from launcher.host.jobs import Records

DIRECTORY = "launcher.host"
"""The cgroup in which the jobs' own ones are."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until there is nothing left to do; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launcher.host", description=__doc__)
    parser.add_argument("--records", type=Path, required=True, help="where jobs are recorded: /run")
    parser.add_argument("--daemons", type=int, required=True, metavar="FD", help="its socket")
    parser.add_argument("--users", type=int, required=True, metavar="FD", help="the users' socket")
    asked = parser.parse_args(arguments)
    logging.basicConfig(format="host jobs: %(message)s")
    os.umask(0o077)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # four for each job
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    root = unified_root()
    if root is None:
        print("error: cgroup v2 is not mounted here", file=sys.stderr)  # noqa: T201
        return 1
    daemons, users = (socket.socket(fileno=fd) for fd in (asked.daemons, asked.users))
    Helper(daemons, users, Records(asked.records, root / DIRECTORY)).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
