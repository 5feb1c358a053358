"""``launch ps``: the jobs that wait and run."""

from __future__ import annotations

from collections.abc import Sequence

import click

from launcher.cli.input import params
from launcher.cli.input.common import JOBS, connect, output_option
from launcher.cli.input.selection import selection
from launcher.cli.output import terminal
from launcher.cli.output.columns import DEFAULT, parse_columns, parse_sort, print_columns, sort
from launcher.cli.output.job_tables import LIVE, print_folded, print_jobs, print_mixed
from launcher.client import Client

MOST = 50
"""So many running and so many waiting jobs are in the table."""


@click.command("ps", short_help="List the jobs that wait and run.", epilog=JOBS)
@click.option("-a", "--all", "everything", is_flag=True, help="Ended jobs too.")
@selection(live=False)
@click.option(
    "--sort",
    "order",
    type=params.Parsed("columns", parse_sort),
    metavar="COLUMN[,…]",
    help="Sort by these columns: user,-time is by user, the longest first.",
)
@click.option(
    "--columns",
    type=params.Parsed("columns", parse_columns),
    metavar="COLUMN[,…]",
    help="Show these columns of the table: id,state,submitted.",
)
@output_option
@click.argument("refs", type=params.JOB, nargs=-1, metavar="[JOB]...")
def command(
    refs: tuple[str, ...],
    everything: bool,
    user: str | None,
    state: str | None,
    name: str | None,
    order: Sequence[tuple[str, bool]] | None,
    columns: Sequence[str] | None,
    output: str,
) -> None:
    """List the jobs that wait and run.

    An array is one line, with how many of its elements are in which state; `launch ps 12` lists the
    elements of array 12. Of a long queue the table has its head and the counts; -o json and -o name
    have all of it. A job that is named is listed even if it has ended, and so are jobs that --state
    asks for by how they ended. TIME is how long a job has run; for one that waits, how long it has
    waited.

    Columns are id, name, user, state, gpus, time, exit, image, reason, priority, attempt, command,
    slices, matrix, limit, submitted, started and ended. With --sort or --columns each element of an
    array has its own line. --columns does not change -o json and -o name.
    """
    client, filters = connect(), (user, state, name)
    if output == "table" and not (refs or everything or order or columns or any(filters)):
        _print_head(client)
        return
    jobs = client.jobs(refs, all=everything, user=user, state=state, name=name)
    jobs = sort(jobs, order) if order else jobs
    if output == "table" and (order or columns):
        print_columns(jobs, columns or DEFAULT)
    elif output == "table" and not refs:
        print_folded(jobs)
    else:
        print_jobs(jobs, output)


def _print_head(client: Client) -> None:
    head = client.head(MOST)
    print_mixed(head.jobs, head.arrays)
    folded = sum(array.counts.get(word, 0) for array in head.arrays for word in LIVE)
    hidden = head.waiting + head.running - len(head.jobs) - folded
    if hidden > 0:
        terminal.say(
            f"and {hidden} more: {head.running} run, {head.waiting} wait (-o json has all of them)"
        )
