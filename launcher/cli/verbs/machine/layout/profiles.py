"""``launch layout profiles``: what the GPUs can be cut into."""

from __future__ import annotations

from collections.abc import Sequence

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import gpu_option
from launcher.cli.output import render, terminal
from launcher.wire import GpuView, ProfileView

HEADINGS = ("GPU", "PROFILE", "ID", "MEMORY", "SMS", "CE", "DEC", "ENC", "JPEG", "OFA", "SIZE",
            "CAN STAND AT", "MOST", "FIT NOW")  # fmt: skip


@click.command("profiles", short_help="List what the GPUs can be cut into.")
@gpu_option
@output_option
def command(gpu: str | None, output: str) -> None:
    """List the profiles that a GPU offers, as NVML tells them.

    CE, DEC, ENC, JPEG and OFA are copy, decoder, encoder, JPEG and optical-flow engines; SIZE and
    CAN STAND AT are memory units; FIT NOW is how many more of it the GPU has room for.
    """
    result = connect().layout.profiles(gpu)
    if output == "json":
        render.print_json(result)
    elif output == "name":
        render.print_names([each.name for each in result])
    else:
        render.print_table(HEADINGS, [_row(each) for each in result])
        if not result:
            terminal.say(_why_none(connect().layout.show(), gpu))


def _why_none(gpus: Sequence[GpuView], gpu: str | None) -> str:
    """Return why no profile is listed, of one GPU or of all."""
    meant = [each for each in gpus if gpu in (None, each.uuid, str(each.index))]
    if any(each.mig_current is not None for each in meant):
        return "NVML reports no profiles: MIG mode may be off (`launch layout enable`)"
    return (
        "no GPU of this machine supports MIG" if gpu is None else f"GPU {gpu} does not support MIG"
    )


def _row(p: ProfileView) -> tuple[object, ...]:
    starts = None if p.placements is None else ",".join(map(str, p.placements))
    engines = (p.engines.get(name) for name in ("copy", "decoders", "encoders", "jpeg", "ofa"))
    memory = f"{p.memory_mib}MiB"
    return (p.gpu_index, p.name, p.profile_id, memory, p.multiprocessors, *engines, p.size, starts,
            p.most, p.fit)  # fmt: skip
