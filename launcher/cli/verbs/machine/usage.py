"""``launch usage``: what users' jobs have on disk."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect
from launcher.cli.output import render, terminal

GIB = 2**30


@click.command("usage", short_help="Show what users' jobs have on disk.")
@click.option("--disk", is_flag=True, required=True, help="Disk space.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table",
    help="How to print: a table, or one JSON document.",
)  # fmt: skip
def command(disk: bool, output: str) -> None:
    """Show the disk space of your jobs' ~/.cache and of your running jobs (admins: everybody's).

    A job's HOME, its /tmp and what it writes elsewhere in its container have one limit together;
    ~/.cache, which stays from job to job, has another. Above a limit no further job of the user
    starts. A job that has more than twice its limit ends. `launch clear-cache` empties ~/.cache.
    """
    views = connect().disk()
    if output == "json":
        render.print_json(views)
        return
    rows = []
    for view in views:
        rows.append((view.user, "~/.cache", _gib(view.cache), _gib(view.cache_limit)))
        rows += [(view.user, f"job {j.id}", _gib(j.bytes), _gib(view.job_limit)) for j in view.jobs]
    render.print_table(("USER", "WHAT", "USED", "LIMIT"), rows)
    for view in views:
        if view.waits is not None:
            terminal.say(f"no job of {view.user} starts: {view.waits}")


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}GiB" if size >= GIB else f"{size / 2**20:.0f}MiB"
