"""``launch drain``: take no new jobs on a slice or GPU."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, output_option
from launcher.cli.output import terminal
from launcher.cli.verbs.machine.slices import print_slices


@click.command("drain", short_help="Take no new jobs on a slice or GPU.")
@click.option("--reason", default="drained by an admin", metavar="TEXT", help="Shown to everybody.")
@output_option
@click.argument("ref", type=params.SLICE_OR_GPU, metavar="SLICE|GPU")
def command(ref: str, reason: str, output: str) -> None:
    """Let a slice, or all slices of a GPU (its index or UUID), take no new job.

    Jobs that run there finish. It lasts until `launch undrain`, also over a restart.
    """
    drained = connect().layout.drain(ref, reason)
    print_slices(drained, output)
    if not drained and output == "table":
        terminal.say(f"{ref} has no slice now: what is made of it will take no new job")
