"""``launch layout save``: keep the present layout, to restore it after a reboot or by its name."""

from __future__ import annotations

from collections.abc import Sequence

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render, terminal
from launcher.jobfile.layouts.layout_spec import format_specs
from launcher.wire import SavedGpu


@click.command("save", short_help="Keep the present layout: for reboots, or under a name.")
@click.argument("name", required=False)
@click.option("--list", "listing", is_flag=True, help="List the saved layouts.")
@click.option("--delete", is_flag=True, help="Delete the saved layout.")
@output_option
def command(name: str | None, listing: bool, delete: bool, output: str) -> None:
    """Save the present layout: the daemon restores it after a reboot, before it starts any job.

    With a NAME it is only kept: `launch layout restore NAME` brings it back. Where a change of MIG
    mode waits for a reboot, the layout is saved as it will be afterwards.
    """
    if listing:
        if name is not None or delete:
            raise click.UsageError("--list takes no NAME and no --delete.")
        _list(output)
        return
    result = connect().layout.save(name, delete=delete)
    if output == "json":
        render.print_json(result)
    elif output == "name":
        render.print_names([saved_gpu.gpu for saved_gpu in result])
    else:
        verb = "deleted" if delete else "saved"
        for saved_gpu in result:
            terminal.say(f"{verb}: {_text(saved_gpu)}")


def _list(output: str) -> None:
    result = connect().layout.saved()
    if output == "json":
        render.print_json(result)
    elif output == "name":
        render.print_names([layout.name or "" for layout in result if layout.name])
    else:
        rows = [(layout.name or "(after a reboot)", _texts(layout.gpus)) for layout in result]
        render.print_table(("NAME", "LAYOUT"), rows)


def _texts(gpus: Sequence[SavedGpu]) -> str:
    return "; ".join(_text(saved_gpu) for saved_gpu in gpus)


def _text(saved_gpu: SavedGpu) -> str:
    specs = format_specs(saved_gpu.places) or "no slices"
    return f"GPU {saved_gpu.index}: {specs if saved_gpu.mode else 'MIG mode off'}"
