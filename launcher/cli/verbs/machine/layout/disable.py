"""``launch layout disable``: switch MIG mode off."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import busy_options, follow, gpu_option, named, request
from launcher.wire import LayoutEntry


@click.command("disable", short_help="Switch MIG mode off.")
@gpu_option
@busy_options
@output_option
def command(gpu: str | None, waiting: bool, cancel_jobs: bool, output: str) -> int:
    """Switch MIG mode off: every slice of the GPU goes, and it is one whole GPU again.

    Exit status 4: it takes effect after a reboot.
    """
    entry = LayoutEntry(gpus=named(gpu), mode=False)
    client = connect()
    wanted = request("disable", [gpu or ""], [entry], waiting=waiting, cancel_jobs=cancel_jobs)
    return follow(client, client.layout.change(wanted), output)
