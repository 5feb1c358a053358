"""The command: one file per verb, loaded when it is used; one renderer for table and JSON.

Data goes to stdout, everything else to stderr. May import ``launcher.jobfile``,
``launcher.client``, ``launcher.wire`` and ``launcher.errors``; only ``serve`` reaches the daemon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

FIRST_COLLECTION = 50_000
"""After so many new objects garbage is looked for: most verbs are over by then (2 of 45 ms)."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its status.

    Without Python's own clean-up, which takes longer than many a verb: nothing is left to clean.
    """
    import contextlib
    import gc
    import os
    import sys

    gc.set_threshold(FIRST_COLLECTION)
    from launcher.cli.app import invoke

    status = invoke(sys.argv[1:] if args is None else list(args))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
