"""``launch usage``: what users' jobs used, in a period or now on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect

if TYPE_CHECKING:
    from launcher.wire import JobUsage

BY = ("user", "group", "profile", "image", "name", "day")
FORMATS = ("table", "csv", "json", "svg", "png")


@click.command("usage", short_help="Show what users' jobs used.")
@click.option(
    "--since", type=params.MOMENT, metavar="TIME",
    help="From then on: 30d (ago), 2026-12-01 (local time); without it the last 7 days.",
)  # fmt: skip
@click.option("--until", type=params.MOMENT, metavar="TIME", help="Until then; without it now.")
@click.option("--by", type=click.Choice(BY), help="What is summed up together (user).")
@click.option("--jobs", is_flag=True, help="One line a job instead, with what it used.")
@click.option("--user", type=params.OWNER, metavar="NAME", help="With --jobs: only this user's.")
@click.option("--disk", is_flag=True, help="Disk space now, of ~/.cache and running jobs.")
@click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="table",
    help="How to print: a table, CSV, one JSON document, or a chart (svg, png) to redirect.",
)  # fmt: skip
def command(
    since: float | None,
    until: float | None,
    by: str | None,
    jobs: bool,
    user: str | None,
    disk: bool,
    output: str,
) -> None:
    """Show what jobs used in a period: slice-hours, slice-GiB-hours, waiting times, failures.

    Slices count from grant to release, so that the sums are those of the leases; running jobs count
    until now. SHARE is the part of what the machine had, and the last line says how much was idle.
    By image and name you see your own jobs, admins everybody's.

    --jobs shows each job of yours that ran then (admins: everybody's): its time, memory peak and
    limit, CPU time, GPU memory peak and activity, over all attempts. A dash: it was not measured.

    --disk shows the disk space of your jobs' ~/.cache and of your running jobs (admins:
    everybody's). A job's HOME, its /tmp and what it writes elsewhere in its container have one
    limit together; ~/.cache, which stays from job to job, has another. Above a limit no further
    job of the user starts. A job that has more than twice its limit ends. `launch clear-cache`
    empties ~/.cache.
    """
    if disk:
        _disk((since, until, by, user, jobs or None), output)
        return
    if jobs:
        _jobs(since, until, by, user, output)
        return
    if user is not None:
        raise click.UsageError("--user goes with --jobs.")
    from launcher.cli.output.charts import usage_tables

    if output == "png":
        usage_tables.must_be_redirected()
    report = connect().usage(since=since, until=until, by=by or "user")
    usage_tables.print_report(report, output)


def _jobs(
    since: float | None, until: float | None, by: str | None, user: str | None, output: str
) -> None:
    from launcher.cli.output.charts import job_usage_tables

    if by is not None:
        raise click.UsageError("--jobs shows each job: leave --by out.")
    if output not in ("table", "csv", "json"):
        raise click.UsageError(f"--jobs is shown as a table, as csv or as json, not as {output}.")
    job_usage_tables.print_jobs(_all_jobs(since, until, user), output)


def _all_jobs(
    since: float | None, until: float | None, user: str | None
) -> Iterator[Sequence[JobUsage]]:
    """Yield the jobs page by page."""
    client, after = connect(), 0
    while page := client.jobs_used(since=since, until=until, after=after, user=user):
        yield page
        if page[-1].id <= after:
            return
        after = page[-1].id


def _disk(period: tuple[object, ...], output: str) -> None:
    from launcher.cli.output.charts import disk_tables

    if any(value is not None for value in period):
        raise click.UsageError("--disk shows the present: leave the options of a period out.")
    if output not in ("table", "json"):
        raise click.UsageError(f"--disk is shown as a table or as json, not as {output}.")
    disk_tables.print_disk(connect().disk(), output)
