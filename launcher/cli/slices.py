"""``launch slices``: the slices and who is on them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from launcher.cli import render
from launcher.cli.common import connect, output_option
from launcher.wire import SliceView

HEADINGS = ("GPU", "PROFILE", "MEMORY", "STATE", "JOB", "USER", "UUID", "WHY")


@click.command("slices", short_help="List the slices and who is on them.")
@output_option
def command(output: str) -> None:
    """List the slices of this machine's GPUs and who is on them.

    STATE is free, leased, releasing, foreign (somebody else's container or process is on it),
    drained, quarantined, lost or silent (NVML does not answer for its GPU).
    """
    print_slices(connect().slices(), output)


def print_slices(found: Sequence[SliceView], output: str) -> None:
    """Print slices in the form that was asked for."""
    if output == "json":
        render.print_json(found)
    elif output == "name":
        render.print_names([each.uuid for each in found])
    else:
        render.print_table(HEADINGS, [_row(each) for each in found])


def _row(each: SliceView) -> tuple[object, ...]:
    memory = f"{each.memory_mib}MiB"
    user = each.user
    return (each.gpu_index, each.profile, memory, each.state, each.job, user, each.uuid, each.why)
