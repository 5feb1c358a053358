"""Options that several verbs have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from launcher.cli import params

F = TypeVar("F", bound=Callable[..., object])

_SLICES_AND_QUEUE = (
    click.option("--profile", type=params.TEXT, help="The slice's profile: 1g.6gb."),
    click.option("--count", type=params.COUNT, metavar="N", help="How many such slices (1)."),
    click.option(
        "--gpu-memory", type=params.TEXT, metavar="SIZE", help="The smallest slice with: 10g."
    ),
    click.option(
        "--gpus", type=params.SPEC, metavar="SPEC", help="All in one: 1g.6gb:2, full, none, …"
    ),
    click.option("-t", "--time", "time_limit", type=params.TIME_LIMIT, help="Time limit: 4h, 90m."),
    click.option(
        "--priority", type=params.PRIORITY, help="0 to 50 for everybody; higher goes first."
    ),
    click.option(
        "--begin", type=params.BEGIN, metavar="TIME", help="No earlier: 2026-12-01T02:00, +2h."
    ),
    click.option("--hold", is_flag=True, help="Wait until `launch release`."),
    click.option(
        "--dependency",
        type=params.DEPENDENCY,
        metavar="HOW:JOB",
        help="After other jobs: afterok:12:13, afterany:14, afternotok:15[3].",
    ),
)


def slices_and_queue(command: F) -> F:
    """Give a command the options that say which slices a job needs, and when it may start."""
    for option in reversed(_SLICES_AND_QUEUE):
        command = option(command)
    return command
