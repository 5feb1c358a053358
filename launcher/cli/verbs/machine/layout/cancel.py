"""``launch layout cancel``: give up a change that still waits."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect
from launcher.cli.output import terminal


@click.command("cancel", short_help="Give up a change that still waits.")
@click.argument("change", metavar="CHANGE", type=click.IntRange(min=1))
def command(change: int) -> None:
    """Give up a change that still waits; its number is in `launch layout changes`.

    One that has begun is carried out, or undone where a step fails: it cannot be cancelled.
    """
    ended = connect().layout.cancel(change)
    terminal.say(f"layout change {ended.id} {ended.result}: {ended.message}")
