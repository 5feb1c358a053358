"""``launch layout plan``: what ``apply`` would do."""

from __future__ import annotations

import sys

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import request
from launcher.cli.input.layout_specs import Asked, asked, asking_options, exact_options
from launcher.cli.output import render, terminal
from launcher.cli.output.layout_plans import EXIT_DIFFERENT, counted, is_empty
from launcher.wire import LayoutPlan


@click.command("plan", short_help="Say what `apply` would do.")
@asking_options
@exact_options
@click.option(
    "--detailed-exitcode",
    "detailed",
    is_flag=True,
    help="Exit status 5 if something would change.",
)
@output_option
def command(
    specs: tuple[str, ...],
    gpus: list[str],
    every: bool,
    file: str | None,
    config: str | None,
    exact: bool,
    enable: bool,
    detailed: bool,
    output: str,
) -> int:
    """Say what `apply` would keep, destroy and create, and whether that touches anything in use.

    Exit status: 0, or 5 with --detailed-exitcode if something would change; 2 the layout cannot be,
    or selects no GPU of this machine.
    """
    words, entries = asked(Asked(specs, gpus, every, file, config, exact, enable))
    client = connect()
    plan = client.layout.plan(request("plan", words, entries))
    if output == "json":
        render.print_json(plan)
    else:
        _print(plan, {gpu.uuid: gpu.index for gpu in client.layout.show()}, output)
    return EXIT_DIFFERENT if detailed and not is_empty(plan) else 0


def _print(plan: LayoutPlan, index: dict[str, int], output: str) -> None:
    parts = ("keep", "complete", "destroy", "create")
    rows = [
        (part, index[v.gpu], counted(v), v.start) for part in parts for v in getattr(plan, part)
    ]
    modes = [
        (f"mode {'on' if on else 'off'}", index[gpu], None, None) for gpu, on in plan.modes.items()
    ]
    if output == "name":
        render.print_names([f"{verb} {profile}@{start}" for verb, _, profile, start in rows])
        return
    render.print_table(("WHAT", "GPU", "PROFILE", "START"), [*modes, *rows])
    _tell(plan)


def _tell(plan: LayoutPlan) -> None:
    for text in plan.busy:
        terminal.complain(f"in the way: {text}")
    if is_empty(plan):
        sys.stdout.flush()
        terminal.say("nothing to change")
