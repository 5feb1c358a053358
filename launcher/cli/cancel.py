"""``launch cancel``: end jobs."""

from __future__ import annotations

import click

from launcher.cli.common import output_option
from launcher.cli.each import each
from launcher.client import Client


@click.command("cancel", short_help="End jobs.")
@output_option
@click.argument("refs", nargs=-1, required=True, metavar="JOB...")
def command(refs: tuple[str, ...], output: str) -> int:
    """End jobs: those that wait never start, those that run are stopped.

    A running job gets its stop signal, and is killed after its grace period. JOB is an id, a range
    such as 10-20, `last`, or a name.
    """
    return each(Client.cancel, refs, output)
