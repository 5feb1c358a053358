"""``launch layout assert``: whether exactly the layout that is asked for stands."""

from __future__ import annotations

import sys

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import request
from launcher.cli.input.layout_specs import Asked, asked, asking_options
from launcher.cli.output import render, terminal
from launcher.cli.output.layout_plans import EXIT_DIFFERENT, differences, is_empty
from launcher.text.safe_text import safe


@click.command("assert", short_help="Check that exactly the layout that is asked for stands.")
@asking_options
@output_option
def command(
    specs: tuple[str, ...],
    gpus: list[str],
    every: bool,
    file: str | None,
    config: str | None,
    output: str,
) -> int:
    """Check that exactly the layout that is asked for stands; nothing is changed.

    Only the GPUs that the request selects are compared. SPECs need MIG mode on, and no other slice
    on the GPU. A GPU whose MIG mode changes after a reset or reboot does not match.

    Exit status: 0 it stands, 5 it does not (the differences are said), 2 the layout cannot be, or
    selects no GPU of this machine.
    """
    enable = file is None  # a file sets MIG mode itself
    words, entries = asked(Asked(specs, gpus, every, file, config, exact=True, enable=enable))
    client = connect()
    plan = client.layout.plan(request("assert", words, entries))
    if output == "json":
        render.print_json(plan)
    else:
        gpu_views = client.layout.show()
        lines = differences(plan, gpu_views)
        if output == "name":
            render.print_names(lines)
        else:
            sys.stdout.writelines(f"{safe(line)}\n" for line in lines)
            sys.stdout.flush()
            terminal.say("the layout stands" if is_empty(plan) else "the layout does not match")
    return 0 if is_empty(plan) else EXIT_DIFFERENT
