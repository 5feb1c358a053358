"""``launch undrain``: let a slice or GPU take jobs again."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, output_option
from launcher.cli.verbs.machine.slices import print_slices


@click.command("undrain", short_help="Let a slice or GPU take jobs again.")
@output_option
@click.argument("ref", type=params.SLICE_OR_GPU, metavar="SLICE|GPU")
def command(ref: str, output: str) -> None:
    """Let a slice or GPU take jobs again.

    What was quarantined is looked at first: the slice must be as it was, its GPU answer, and no
    process be on it; else it stays as it is.
    """
    print_slices(connect().layout.drain(ref, None), output)
