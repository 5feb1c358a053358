"""``launch ps``: the jobs that wait and run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click

from launcher.cli.input import params
from launcher.cli.input.common import JOBS, connect, output_option, watch_option
from launcher.cli.input.selection import selection
from launcher.cli.output import terminal
from launcher.cli.output.columns import DEFAULT, parse_columns, parse_sort, print_columns, sort
from launcher.cli.output.job_tables import LIVE, print_folded, print_jobs, print_mixed
from launcher.client import Client
from launcher.wire import JobView, QueueHead

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
@watch_option
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
    watched: bool,
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

    With --watch a terminal shows the table in place, as much of it as there are rows. Elsewhere it
    is printed again after an empty line when it has changed; -o json prints a document a line.
    """
    some = bool(refs or everything or order or columns or user or state or name)
    listing = Listing(output, bool(refs), order, columns)

    def read(client: Client) -> QueueHead | list[JobView]:
        if output == "table" and not some:
            return client.head(MOST)
        return client.jobs(refs, all=everything, user=user, state=state, name=name)

    if not watched:
        listing.show(read(connect()), terminal.say)
        return
    from launcher.cli.live.watching import watch

    watch(connect(), read, lambda jobs: listing.show(jobs, sys.stdout.write), output)


@dataclass(frozen=True)
class Listing:
    """How jobs are printed; ``named``: those of references, each on a line of its own."""

    output: str
    named: bool
    order: Sequence[tuple[str, bool]] | None
    columns: Sequence[str] | None

    def show(self, jobs: QueueHead | list[JobView], say: Callable[[str], object]) -> None:
        """Print jobs; ``say`` prints how many of a long queue are not in the table."""
        if not isinstance(jobs, list):
            _print_head(jobs, say)
            return
        jobs = sort(jobs, self.order) if self.order else jobs
        if self.output == "table" and (self.order or self.columns):
            print_columns(jobs, self.columns or DEFAULT)
        elif self.output == "table" and not self.named:
            print_folded(jobs)
        else:
            print_jobs(jobs, self.output)


def _print_head(head: QueueHead, say: Callable[[str], object]) -> None:
    print_mixed(head.jobs, head.arrays)
    folded = sum(array.counts.get(word, 0) for array in head.arrays for word in LIVE)
    hidden = head.waiting + head.running - len(head.jobs) - folded
    if hidden > 0:
        counts = f"{head.running} run, {head.waiting} wait"
        say(f"and {hidden} more: {counts} (-o json has all of them)")
