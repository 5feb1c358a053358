"""``launch layout destroy``: remove one slice."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import busy_options, follow, request
from launcher.cli.output import terminal
from launcher.wire import LayoutEntry


@click.command("destroy", short_help="Remove one slice.")
@click.argument("slices", nargs=-1, type=params.SLICE, required=True, metavar="SLICE...")
@busy_options
@output_option
def command(slices: tuple[str, ...], waiting: bool, cancel_jobs: bool, output: str) -> int:
    """Remove slices: the compute instance first, then the GPU instance.

    SLICE is a MIG UUID; a GPU instance without one is named GPU/GI, such as 0/5. Slices that share
    a GPU instance go together, and it is said which. Nothing in use is touched without --wait or
    --cancel-jobs.
    """
    entries = [LayoutEntry(drop=[*slices])]
    client = connect()
    wanted = request("destroy", slices, entries, waiting=waiting, cancel_jobs=cancel_jobs)
    begun = client.layout.change(wanted)
    if begun.request != wanted.request:
        terminal.say(f"destroys {begun.request}")
    return follow(client, begun, output)
