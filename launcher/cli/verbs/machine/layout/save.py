"""``launch layout save``: have the present layout restored after a reboot."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render, terminal
from launcher.jobfile.layouts.layout_spec import format_specs


@click.command("save", short_help="Have the present layout restored after a reboot.")
@output_option
def command(output: str) -> None:
    """Save the present layout: the daemon restores it after a reboot, before it starts any job."""
    result = connect().layout.save()
    if output == "json":
        render.print_json(result)
    elif output == "name":
        render.print_names([each.gpu for each in result])
    else:
        for each in result:
            specs = format_specs(each.places) or "no slices"
            terminal.say(f"GPU {each.index}: {specs if each.mode else 'MIG mode off'}")
