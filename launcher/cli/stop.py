"""``launch stop``: end the daemon."""

from __future__ import annotations

import click

from launcher.cli import render, terminal
from launcher.cli.common import connect, output_option


@click.command("stop", short_help="End the daemon; its jobs go on.")
@output_option
def command(output: str) -> None:
    """End the daemon. Jobs that run go on, and the next daemon takes them over."""
    status = connect().stop()
    if output == "json":
        render.print_json(status)
    elif output == "name":
        render.print_names([status.pid])
    else:
        terminal.say(f"the daemon (pid {status.pid}) ends; its jobs go on")
