"""``launch layout clear``: remove every slice of a GPU."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import (
    EXIT_PENDING,
    busy_options,
    follow,
    gpu_option,
    named,
    request,
)
from launcher.wire import LayoutEntry


@click.command("clear", short_help="Remove every slice of a GPU.")
@gpu_option
@click.option("--all", "every", is_flag=True, help="Every GPU of the machine.")
@click.option("--mode-off", is_flag=True, help="Switch MIG mode off too.")
@busy_options
@output_option
def command(
    gpu: str | None, every: bool, mode_off: bool, waiting: bool, cancel_jobs: bool, output: str
) -> int:
    """Remove every slice of a GPU, whoever made it, and with --mode-off MIG mode too.

    Exit status 0 only if the GPU is clean: no slice is left, and with --mode-off MIG mode is off,
    or goes off at the next reboot. Made for ExecStop of a unit: an A30 keeps its mode when the
    machine stops, and would hand it to its next tenant. A change of the GPU that still waits is
    given up for it.
    """
    if every and gpu is not None:
        raise click.UsageError("--all and --gpu cannot be used together.")
    gpus = [] if every else named(gpu)
    entry = LayoutEntry(gpus=gpus, specs=[], exact=True, mode=False if mode_off else None)
    client = connect()
    words = [gpu or ("--all" if every else ""), "--mode-off" if mode_off else ""]
    wanted = request(
        "clear", [w for w in words if w], [entry], waiting=waiting, cancel_jobs=cancel_jobs
    )
    pending_status = 0 if mode_off else EXIT_PENDING
    return follow(client, client.layout.change(wanted), output, pending_status)
