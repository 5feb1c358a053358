"""``launch layout changes``: the changes that were made."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render

HEADINGS = ("ID", "AT", "USER", "VERB", "ASKED", "RESULT", "MESSAGE")


@click.command("changes", short_help="List the changes that were made: who, when, what.")
@click.option("-n", "most", type=click.IntRange(1, 1000), default=20, help="How many (20).")
@output_option
def command(most: int, output: str) -> None:
    """List the changes of the layout, newest first, with their requester and result."""
    result = connect().layout.changes(most)
    if output == "json":
        render.print_json(result)
    elif output == "name":
        render.print_names([each.id for each in result])
    else:
        rows = [
            (c.id, c.asked_at, c.user, c.verb, c.request, c.result or c.state, c.message)
            for c in result
        ]
        render.print_table(HEADINGS, rows)
