"""``launch layout enable``: switch MIG mode on."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import busy_options, follow, gpu_option, named, request
from launcher.wire import LayoutEntry


@click.command("enable", short_help="Switch MIG mode on.")
@gpu_option
@busy_options
@output_option
def command(gpu: str | None, waiting: bool, cancel_jobs: bool, output: str) -> int:
    """Switch MIG mode on, so that the GPU can be cut into slices.

    An A30 or A100 is reset for it and keeps the mode over a reboot; Hopper and Blackwell need no
    reset and forget it at a reboot. Exit status 4: it takes effect after a reboot. Processes in the
    way are named.
    """
    entry = LayoutEntry(gpus=named(gpu), mode=True)
    client = connect()
    wanted = request("enable", [gpu or ""], [entry], waiting=waiting, cancel_jobs=cancel_jobs)
    return follow(client, client.layout.change(wanted), output)
