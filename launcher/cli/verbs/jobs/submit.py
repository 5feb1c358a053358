"""``launch submit``: queue the jobs of job files."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from launcher.cli.input import params
from launcher.cli.input.common import (
    connect_or_start,
    credentials,
    mounts_are_elsewhere,
    output_option,
)
from launcher.cli.input.run_request import notified
from launcher.cli.output import render, terminal
from launcher.cli.output.job_tables import print_short
from launcher.cli.output.submitted import ids, images, print_planned, print_submitted

if TYPE_CHECKING:
    from launcher.spec.notify import NotifyTarget


@click.command("submit", short_help="Queue the jobs of job files.")
@click.option("--dry-run", is_flag=True, help="Check, and print what would be queued.")
@click.option("--wait", "waiting", is_flag=True, help="Wait until all have ended.")
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME",
    help="Of a Compose file, only this service; may be repeated.",
)
@click.option(
    "--notify",
    "targets",
    type=params.NOTIFY,
    multiple=True,
    metavar="TARGET",
    help="As `notify` of jobs without that key: mail, webhook=URL; ,on=start+failure.",
)
@output_option
@click.argument(
    "files", nargs=-1, type=click.Path(readable=False), required=True, metavar="FILE..."
)
def command(
    files: tuple[str, ...],
    dry_run: bool,
    waiting: bool,
    services: tuple[str, ...],
    targets: tuple[NotifyTarget | None, ...],
    output: str,
) -> int:
    """Queue the jobs of job files (- is standard input): all of them, or none.

    A FILE may be a Compose file: each of its services is a job.

    With --wait the exit status is 0 only if every job completed.
    """
    from launcher.cli.verbs.jobs.wait import together, wait_for
    from launcher.jobfile import load

    mounts_are_elsewhere()
    jobs = load(files, sys.stdin.buffer, services=services, notice=terminal.complain)
    if (notify := notified(targets)) is not None:
        jobs = [job if job.notify is not None else replace(job, notify=notify) for job in jobs]
    client = connect_or_start()
    wanted = credentials(i for job in jobs if job.pull_policy != "never" for i in images(job))
    views = client.submit(jobs, wanted, dry_run=dry_run)
    if dry_run and output == "name":
        render.print_names([view.name for view in views])
        return 0
    if dry_run and output == "table":
        print_planned(views)
        return 0
    if dry_run or not waiting:
        print_submitted(views, output)
        return 0
    count = "1 job" if len(views) == 1 else f"{len(views)} jobs"
    terminal.say(f"queued {count}: {', '.join(ids(views))}")
    views = wait_for(client, [view.id for view in views], None)
    print_short(views, output)
    return together(views)
