"""``launch cancel``: end jobs."""

from __future__ import annotations

import click

from launcher.cli import terminal
from launcher.cli.common import connect, output_option
from launcher.cli.jobs import print_short
from launcher.errors import LauncherError, Unavailable
from launcher.wire import JobView


@click.command("cancel", short_help="End jobs.")
@output_option
@click.argument("refs", nargs=-1, required=True, metavar="JOB...")
def command(refs: tuple[str, ...], output: str) -> int:
    """End jobs: those that wait never start, those that run are stopped.

    A running job gets its stop signal, and is killed after its grace period. JOB is an id, a range
    such as 10-20, `last`, or a name.
    """
    client = connect()
    ended: list[JobView] = []
    status = 0
    for ref in refs:
        try:
            ended += client.cancel(ref)
        except Unavailable:
            raise
        except LauncherError as error:
            terminal.report(error)
            status = 1
    if ended or output == "json":
        print_short(ended, output)
    return status
