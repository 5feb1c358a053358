"""How the forecasts of a what-if are shown: a line and a chart each, a picture, a sentence."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import click

from launcher.cli.output import render, terminal
from launcher.text.moments import span
from launcher.wire import Forecast

HEADINGS = ("LAYOUT", "MAKESPAN", "MEAN-WAIT", "WORST-WAIT", "USE", "JOBS", "NEVER")
PRESENT = "present"
WIDTH = 80
MOST_IDS = 10
SVG = "svg="


def print_forecasts(forecasts: Sequence[Forecast], output: str) -> None:
    """Print forecasts in the form that was asked for; ``svg=FILE`` writes a picture."""
    if output == "json":
        render.print_json(list(forecasts))
    elif output == "name":
        render.print_names([_best(forecasts).layout] if forecasts else [])
    else:
        several = len(forecasts) > 1
        shown = (
            forecasts if several else [dataclasses.replace(each, best=False) for each in forecasts]
        )
        if output.startswith(SVG):
            _draw(shown, output.removeprefix(SVG))
        else:
            _print(shown)
        _tell(forecasts)


def _best(forecasts: Sequence[Forecast]) -> Forecast:
    return next((each for each in forecasts if each.best), forecasts[0])


def _print(forecasts: Sequence[Forecast]) -> None:
    from launcher.cli.output.charts import gantt

    render.print_table(HEADINGS, [_row(each) for each in forecasts])
    utf8 = gantt.speaks_utf8(sys.stdout.encoding)
    lines = gantt.lines(forecasts, terminal.width() or WIDTH, utf8=utf8)
    sys.stdout.write("".join(f"{line}\n" for line in ["", *lines]))


def _row(each: Forecast) -> tuple[object, ...]:
    return (
        each.layout + (" *" if each.best else ""),
        span(each.makespan),
        span(each.mean_wait),
        span(each.worst_wait),
        f"{each.use:.0%}",
        each.jobs,
        len(each.never),
    )


def _draw(forecasts: Sequence[Forecast], file: str) -> None:
    from pathlib import Path

    from launcher.cli.output.charts import svg

    try:
        Path(file).write_text(svg.picture(forecasts), encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise click.ClickException(f"cannot write {file}: {why}") from error


def _tell(forecasts: Sequence[Forecast]) -> None:
    """Say on stderr which layout ends first, and which jobs have no place on one."""
    for each in forecasts:
        if each.never:
            more = " and more" if len(each.never) > MOST_IDS else ""
            ids = ", ".join((each.never_refs or list(map(str, each.never)))[:MOST_IDS])
            sentence = (
                "1 job never starts" if len(each.never) == 1 else f"{len(each.never)} never start"
            )
            terminal.say(f"{each.layout}: {sentence}: {ids}{more}")
    if len(forecasts) > 1:
        best = _best(forecasts)
        present = next((each for each in forecasts if each.layout == PRESENT), best)
        terminal.say(_recommendation(best, present))


def _recommendation(best: Forecast, present: Forecast) -> str:
    first, now = span(best.makespan), span(present.makespan)
    more = len(present.never) - len(best.never)
    if best is present or (more <= 0 and (first == now or present.makespan <= best.makespan)):
        return f"the present layout is as good as any: it ends after {now}"
    if present.makespan > best.makespan and first != now:
        return f"{best.layout} ends first: after {first}, the present one after {now}"
    jobs = "1 more job" if more == 1 else f"{more} more jobs"
    return (
        f"{best.layout} has a place for {jobs}: it ends after {first}, the present one after {now}"
    )
