"""``launch layout enable``: switch MIG mode on."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import (
    busy_options,
    follow,
    gpus_option,
    in_words,
    request,
    selected,
)
from launcher.wire import LayoutEntry


@click.command("enable", short_help="Switch MIG mode on.")
@gpus_option
@busy_options
@output_option
def command(gpus: list[str], every: bool, waiting: bool, cancel_jobs: bool, output: str) -> int:
    """Switch MIG mode on, so that the GPU can be cut into slices.

    An A30 or A100 is reset for it and keeps the mode over a reboot; Hopper and Blackwell need no
    reset and forget it at a reboot. Exit status 4: it takes effect after a reboot. Processes in the
    way are named.
    """
    entry = LayoutEntry(gpus=selected(gpus, every=every), mode=True)
    client = connect()
    words = in_words(gpus, every=every)
    wanted = request("enable", words, [entry], waiting=waiting, cancel_jobs=cancel_jobs)
    return follow(client, client.layout.change(wanted), output)
