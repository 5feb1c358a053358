"""``launch layout export``: the layout as a file."""

from __future__ import annotations

import sys

import click

from launcher.cli.input.common import connect
from launcher.cli.output import render


@click.command("export", short_help="Print the layout, as NVIDIA mig-parted writes it or as JSON.")
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml",
    help="yaml for mig-parted (without placements), json with placements.",
)  # fmt: skip
@click.option("--name", default="current", help="The configuration's name in the file (current).")
def command(output: str, name: str) -> None:
    """Print the layout that stands: `launch layout apply -f` and mig-parted read the YAML."""
    result = connect().layout.current()
    if output == "json":
        render.print_json(result)
        return
    from launcher.jobfile.layouts.mig_parted import dump

    sys.stdout.write(dump(result, name))
