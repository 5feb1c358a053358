"""``launch layout plan``: what ``apply`` would do."""

from __future__ import annotations

import sys

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import request
from launcher.cli.input.layout_specs import asked, asking_options
from launcher.cli.output import render, terminal
from launcher.wire import LayoutPlan, PlaceView


@click.command("plan", short_help="Say what `apply` would do.")
@asking_options
@output_option
def command(
    specs: tuple[str, ...],
    gpu: str | None,
    file: str | None,
    config: str | None,
    exact: bool,
    output: str,
) -> None:
    """Say what `apply` would keep, destroy and create, and whether that touches anything in use."""
    words, entries = asked(specs, gpu, file, config, exact=exact)
    client = connect()
    plan = client.layout.plan(request("plan", words, entries))
    if output == "json":
        render.print_json(plan)
        return
    parts = ("keep", "complete", "destroy", "create")
    index = {gpu.uuid: gpu.index for gpu in client.layout.show()}
    rows = [(part, index[v.gpu], _what(v), v.start) for part in parts for v in getattr(plan, part)]
    modes = [
        (f"mode {'on' if on else 'off'}", index[gpu], None, None) for gpu, on in plan.modes.items()
    ]
    if output == "name":
        render.print_names([f"{verb} {profile}@{start}" for verb, _, profile, start in rows])
        return
    render.print_table(("WHAT", "GPU", "PROFILE", "START"), [*modes, *rows])
    _tell(plan)


def _what(place: PlaceView) -> str:
    return f"{place.profile}:{place.count}" if place.count > 1 else place.profile


def _tell(plan: LayoutPlan) -> None:
    for text in plan.busy:
        terminal.complain(f"in the way: {text}")
    if not (plan.destroy or plan.create or plan.complete or plan.modes):
        sys.stdout.flush()
        terminal.say("nothing to change")
