"""``launch queue``: the waiting jobs in the order in which they will be served."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render, terminal
from launcher.text.job_format import gpus
from launcher.text.moments import duration, since
from launcher.wire import QueueEntry, ref_of

HEADINGS = ("POS", "ID", "NAME", "USER", "PRIORITY", "USE", "SHARE", "GPUS", "LIMIT", "WAITS",
            "REASON")  # fmt: skip
SPARE = ("SHARE", "USE", "NAME", "WAITS", "LIMIT", "PRIORITY")
MOST = 50
ALL = 100_000


@click.command("queue", short_help="List what waits, in the order in which it is served.")
@click.option(
    "-n",
    "most",
    type=click.IntRange(1, ALL),
    metavar="N",
    help=f"How many ({MOST}; -o json and -o name: all).",
)
@output_option
def command(most: int | None, output: str) -> None:
    """List the waiting jobs in the order in which they will be served, with what gives it.

    The higher PRIORITY is first. Among equals it is the user with the least USE / SHARE, then the
    older job. USE is the slice memory that the user's jobs took lately, in GiB·h; it halves as time
    goes by. SHARE is the user's weight. POS is - for a job that is not in the queue yet: its REASON
    says what it waits for.
    """
    client = connect()
    asked = most or (MOST if output == "table" else ALL)
    entries = client.queue.order(asked)
    if output == "json":
        render.print_json(entries)
    elif output == "name":
        render.print_names([ref_of(entry.id, entry.array) for entry in entries])
    else:
        _print(entries)
        if len(entries) >= asked:
            waiting = client.head(1).waiting
            if waiting > len(entries):
                terminal.say(f"and {waiting - len(entries)} more (-n shows more)")


def _print(entries: Sequence[QueueEntry]) -> None:
    now = datetime.now(UTC)
    render.print_table(HEADINGS, [_row(entry, now) for entry in entries], SPARE)


def _row(entry: QueueEntry, now: datetime) -> tuple[object, ...]:
    return (
        entry.position,
        ref_of(entry.id, entry.array),
        entry.name,
        entry.user,
        entry.priority,
        f"{entry.use:.1f}",
        f"{entry.share:g}",
        gpus(entry),
        None if entry.time_limit is None else duration(entry.time_limit),
        since(entry.submitted_at, now),
        entry.reason,
    )
