"""``launch layout clear``: remove every slice of a GPU."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import (
    EXIT_PENDING,
    busy_options,
    follow,
    gpus_option,
    in_words,
    request,
    selected,
)
from launcher.cli.output import terminal
from launcher.wire import LayoutEntry


@click.command("clear", short_help="Remove every slice of a GPU.")
@gpus_option
@click.option("--mode-off", is_flag=True, help="Switch MIG mode off too.")
@busy_options
@output_option
def command(
    gpus: list[str],
    every: bool,
    mode_off: bool,
    waiting: bool,
    cancel_jobs: bool,
    output: str,
) -> int:
    """Remove every slice of a GPU, whoever made it, and with --mode-off MIG mode too.

    Exit status 0 only if the GPU is clean: no slice is left, and with --mode-off MIG mode is off,
    or goes off at the next reboot. Made for ExecStop of a unit: an A30 keeps its mode when the
    machine stops, and would hand it to its next tenant. A change of the GPU that still waits is
    given up for it. If no GPU supports MIG, there is nothing to change.
    """
    chosen = selected(gpus, every=every)
    entry = LayoutEntry(gpus=chosen, specs=[], exact=True, mode=False if mode_off else None)
    client = connect()
    words = [*in_words(gpus, every=every), *(["--mode-off"] if mode_off else [])]
    wanted = request("clear", words, [entry], waiting=waiting, cancel_jobs=cancel_jobs)
    started = client.layout.change(wanted)
    if not any(gpu.mig_current is not None for gpu in client.layout.show()):
        terminal.say("no GPU of this machine supports MIG")
    return follow(client, started, output, 0 if mode_off else EXIT_PENDING)
