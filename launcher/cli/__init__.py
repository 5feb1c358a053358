"""The command: one file per verb, loaded when it is used; one renderer for table and JSON.

Data goes to stdout, everything else to stderr. May import ``launcher.jobfile``,
``launcher.client``, ``launcher.wire`` and ``launcher.errors``; only ``serve`` reaches the daemon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its status."""
    import sys

    from launcher.cli.app import invoke

    sys.exit(invoke(sys.argv[1:] if args is None else list(args)))
