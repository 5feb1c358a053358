"""``launch whatif``: the queue replayed, over one layout or several."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, mounts_are_elsewhere
from launcher.cli.output import terminal
from launcher.cli.output.charts.forecasts import SVG, print_forecasts

if TYPE_CHECKING:
    from launcher.spec.job_spec import JobSpec
    from launcher.wire import WhatIfLayout

_FORMS = ("table", "json", "name")


def _layout(text: str) -> WhatIfLayout:
    from launcher.jobfile.layouts.layout_spec import parse_spec
    from launcher.wire import WhatIfLayout

    return WhatIfLayout(text=text, specs=[parse_spec(part) for part in text.split(",")])


def _output(text: str) -> str:
    if text in _FORMS or (text.startswith(SVG) and text != SVG):
        return text
    raise ValueError(f"'{text}' is none of {', '.join(_FORMS)} and svg=FILE")


@click.command("whatif", short_help="Replay the queue, also over other layouts.")
@click.option(
    "--jobs", "files", multiple=True, metavar="FILE", help="These jobs instead of the queue's."
)
@click.option(
    "--layout",
    "layouts",
    multiple=True,
    type=params.Parsed("layout", _layout),
    metavar="SPEC[,SPEC]...",
    help="A layout to compare: 1g.6gb:4 or 2g.12gb,1g.6gb:2.",
)
@click.option(
    "--runtime",
    type=click.Choice(["limit", "history"]),
    default="limit",
    help="Jobs take their time limit, or the median of your earlier jobs of their name.",
)
@click.option(
    "-o",
    "--output",
    type=params.Parsed("output", _output),
    default="table",
    metavar="table|json|name|svg=FILE",
    help="How to print: tables with charts, one JSON document, the best layout; or a picture.",
)
def command(
    files: tuple[str, ...], layouts: tuple[WhatIfLayout, ...], runtime: str, output: str
) -> None:
    """Say what would happen: the queue is replayed, job by job, and nothing is changed.

    Without --layout it is replayed on the present layout, after the jobs that run; with --jobs the
    jobs of the files are replayed alone (- is standard input). With --layout every MIG-capable GPU
    is cut like that, as far as its board has the profiles; a GPU that has none of them keeps its
    slices. Each layout, the present one too, starts with an idle machine; the best is marked.

    MAKESPAN is when the last job ends, USE the part of the slice memory that is in use until then,
    NEVER how many jobs cannot start on the layout.
    """
    jobs = _jobs(files)
    result = connect().queue.whatif(jobs, layouts, history=runtime == "history")
    print_forecasts(result, output)


def _jobs(files: Sequence[str]) -> list[JobSpec] | None:
    if not files:
        return None
    from launcher.jobfile import load

    mounts_are_elsewhere()
    return load(files, sys.stdin.buffer, notice=terminal.complain)
