"""``launch ps``: the jobs that wait and run."""

from __future__ import annotations

import click

from launcher.cli.input.common import JOBS, connect, output_option
from launcher.cli.output import terminal
from launcher.cli.output.job_tables import LIVE, print_folded, print_jobs, print_mixed

MOST = 50
"""So many running and so many waiting jobs are in the table."""


@click.command("ps", short_help="List the jobs that wait and run.", epilog=JOBS)
@click.option("-a", "--all", "everything", is_flag=True, help="Ended jobs too.")
@output_option
@click.argument("refs", nargs=-1, metavar="[JOB]...")
def command(refs: tuple[str, ...], everything: bool, output: str) -> None:
    """List the jobs that wait and run.

    An array is one line, with how many of its elements are in which state; `launch ps 12` lists the
    elements of array 12. Of a long queue the table has its head and the counts; -o json and -o name
    have all of it. A job that is named is listed even if it has ended. TIME is how long a job has run; for
    one that waits, how long it has waited.
    """
    client = connect()
    if everything and not refs and output == "table":
        print_folded(client.jobs(all=True))
        return
    if refs or everything or output != "table":
        print_jobs(client.jobs(refs, all=everything), output)
        return
    head = client.head(MOST)
    print_mixed(head.jobs, head.arrays)
    folded = sum(array.counts.get(word, 0) for array in head.arrays for word in LIVE)
    hidden = head.waiting + head.running - len(head.jobs) - folded
    if hidden > 0:
        terminal.say(
            f"and {hidden} more: {head.running} run, {head.waiting} wait (-o json has all of them)"
        )
