"""``launch audit``: which user requested what of the daemon, and the decision."""

from __future__ import annotations

from collections.abc import Sequence

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect
from launcher.cli.input.params import DURATION
from launcher.cli.output import render
from launcher.text.moments import second
from launcher.wire import AuditView

HEADINGS = ("AT", "USER", "ROLE", "REQUEST", "JOBS", "OUTCOME", "TIMES", "DETAIL")


@click.command("audit", short_help="Show which user requested what, and the decision.")
@click.option("--user", type=params.OWNER, metavar="NAME", help="Only what this user asked.")
@click.option(
    "--since", type=DURATION, metavar="TIME", help="Only requests of this last time (2h)."
)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, metavar="N",
    help="Only the last N lines.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table",
    help="How to print: a table, or one JSON document.",
)  # fmt: skip
def command(user: str | None, since: float | None, limit: int, output: str) -> None:
    """Show which user requested what of the daemon, and the decision; for admins.

    Every request that changed something is a line, and every refusal; refusals that repeat within a
    minute are one line with their number.
    """
    lines = connect().audit(user=user, since=since, limit=limit)
    if output == "json":
        render.print_json(lines)
    else:
        _print(lines)


def _print(lines: Sequence[AuditView]) -> None:
    rows = [
        (
            second(each.at),
            each.user,
            each.role,
            each.route,
            each.jobs,
            each.outcome,
            each.count,
            each.detail,
        )
        for each in lines
    ]
    render.print_table(HEADINGS, rows, ("ROLE", "JOBS", "REQUEST"))
