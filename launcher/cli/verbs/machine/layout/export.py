"""``launch layout export``: the layout as a file."""

from __future__ import annotations

import sys

import click

from launcher.cli.input.common import connect
from launcher.cli.output import render
from launcher.errors import UserError


@click.command("export", short_help="Print the layout, as NVIDIA mig-parted writes it or as JSON.")
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml",
    help="yaml for mig-parted (without placements), json with placements.",
)  # fmt: skip
@click.option("--name", default="current", help="The configuration's name in the file (current).")
def command(output: str, name: str) -> None:
    """Print the layout that stands: `launch layout apply -f` reads both, mig-parted the YAML.

    With -o json GPUs are named by their UUID, and each slice comes back at its place.
    """
    result = connect().layout.current()
    if not result:
        raise UserError("no GPU here supports MIG: there is no layout to print")
    if output == "json":
        render.print_json(result)
        return
    from launcher.jobfile.layouts.mig_parted import dump

    sys.stdout.write(dump(result, name))
