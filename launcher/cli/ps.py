"""``launch ps``: the jobs that wait and run."""

from __future__ import annotations

import click

from launcher.cli.common import connect, output_option
from launcher.cli.jobs import print_jobs


@click.command("ps", short_help="List the jobs that wait and run.")
@click.option("-a", "--all", "everything", is_flag=True, help="Ended jobs too.")
@output_option
@click.argument("refs", nargs=-1, metavar="[JOB]...")
def command(refs: tuple[str, ...], everything: bool, output: str) -> None:
    """List the jobs that wait and run.

    JOB is an id, a range such as 10-20, `last`, or a name; a job that is named is listed even if it
    has ended. TIME is how long a job has run; for one that waits, how long it has waited.
    """
    print_jobs(connect().jobs(refs, all=everything), output)
