"""The report of ``launch usage`` as a table, as CSV and as a chart."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

import click

from launcher.cli.output import render, terminal
from launcher.text.moments import second, span
from launcher.text.safe_text import safe

if TYPE_CHECKING:
    from launcher.wire import UsageReport, UsageView

HEADINGS = (
    "SLICE-H", "GIB-H", "SHARE", "JOBS", "RUNNING", "FAILED", "WAIT 50%", "90%", "99%", "ENDS",
)  # fmt: skip
COLUMNS = (
    "slice_hours", "gib_hours", "slot_hours", "share", "jobs", "running", "failed", "wait_p50",
    "wait_p90", "wait_p99", "ends",
)  # fmt: skip


def print_report(report: UsageReport, output: str) -> None:
    """Print the report; notices about it go to stderr."""
    if output == "json":
        render.print_json(report)
    elif output == "csv":
        _csv(report)
    elif output == "table":
        _table(report)
    else:
        _chart(report, output)
    if report.own:
        terminal.say("Only your own jobs are shown.")
    if report.whole_days:
        period = f"{second(report.since)} to {second(report.until)}"
        terminal.say(f"Of deleted jobs only the day is known, so the period is {period}.")


def must_be_redirected() -> None:
    """Refuse to write a picture to a terminal."""
    if sys.stdout.isatty():
        raise click.UsageError("-o png is not for a terminal: launch usage -o png > usage.png")


def _table(report: UsageReport) -> None:
    rows = [_row(view) for view in report.groups]
    headings = (safe(report.by).upper(), *HEADINGS)
    render.print_table(headings, [*rows, _row(report.total, "all")], ("ENDS",))
    if report.idle_share is not None:
        capacity = f"{report.capacity_gib_hours:,.1f} slice-GiB-hours"
        terminal.say(f"{report.idle_share:.1%} of {capacity} were idle.")


def _row(view: UsageView, name: str = "") -> tuple[object, ...]:
    waits = ["-" if seconds is None else span(seconds) for seconds in _waits(view)]
    return (
        name or view.key,
        f"{view.slice_hours:,.2f}",
        f"{view.gib_hours:,.2f}",
        "-" if view.share is None else f"{view.share:.1%}",
        view.jobs,
        view.running,
        view.failed,
        *waits,
        ", ".join(f"{cause} {count}" for cause, count in view.ends.items()),
    )


def _waits(view: UsageView) -> tuple[int | None, ...]:
    return view.wait_p50, view.wait_p90, view.wait_p99


def _csv(report: UsageReport) -> None:
    """Print one line a group; a cell that a spreadsheet would take for a formula gets a quote."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow((safe(report.by), *COLUMNS))
    for view in report.groups:
        share = "" if view.share is None else f"{view.share:.6f}"
        ends = harmless(";".join(f"{cause}={count}" for cause, count in view.ends.items()))
        hours = (f"{h:.6f}" for h in (view.slice_hours, view.gib_hours, view.slot_hours))
        key = harmless(view.key or "")
        counts = (view.jobs, view.running, view.failed)
        writer.writerow((key, *hours, share, *counts, *_waits(view), ends))


def harmless(cell: str) -> str:
    """Return a cell that is neither a formula nor steers a terminal (OWASP, "CSV injection")."""
    cell = safe(cell)
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _chart(report: UsageReport, output: str) -> None:
    from launcher.cli.output.charts import bars

    chart = bars.usage_chart(report)
    if output == "svg":
        sys.stdout.write(bars.svg(chart))
    else:
        sys.stdout.buffer.write(bars.png(chart))
