"""Verbs that do one thing to each job they are given, and go on after one that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from launcher.cli.input.common import connect
from launcher.cli.output import terminal
from launcher.cli.output.job_tables import print_short
from launcher.client import Client
from launcher.errors import LauncherError, Unavailable
from launcher.wire import JobView


def each(do: Callable[[Client, str], list[JobView]], refs: Sequence[str], output: str) -> int:
    """Do it to each; print what the jobs are now, return 1 if one could not be done."""
    client = connect()
    changed: list[JobView] = []
    status = 0
    for ref in dict.fromkeys(refs):
        try:
            changed += do(client, ref)
        except Unavailable:
            raise
        except LauncherError as error:
            terminal.report(error)
            status = 1
    if changed or output == "json":
        print_short(changed, output)
    return status
