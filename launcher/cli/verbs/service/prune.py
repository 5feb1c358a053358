"""``launch prune``: delete jobs that ended long ago."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect
from launcher.cli.output import render
from launcher.text.moments import span


@click.command("prune", short_help="Delete jobs that ended long ago, or their logs.")
@click.option(
    "--older-than", type=params.AGE, metavar="TIME",
    help="Those that ended longer ago (30d); else what [history] of launcher.toml says.",
)  # fmt: skip
@click.option("--logs", is_flag=True, help="Only the logs; the jobs stay on record.")
@click.option("--dry-run", is_flag=True, help="Delete nothing, only count.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table",
    help="How to print: a sentence, or one JSON document.",
)  # fmt: skip
def command(older_than: float | None, logs: bool, dry_run: bool, output: str) -> None:
    """Delete ended jobs with their attempts, history and logs: yours, or as an admin everybody's.

    The daemon does this every hour by itself, as [history] of launcher.toml says. A job stays while
    a job that has not ended depends on it; an array is deleted as a whole, once all of it is old
    enough. Ids are not used again. What the jobs used stays on record, by day and user.
    """
    result = connect().prune(older_than=older_than, logs=logs, dry_run=dry_run)
    if output == "json":
        render.print_json(result)
        return
    summary = (
        f"{result.logs} logs ({result.log_bytes / 2**20:.1f} MiB)"
        if logs
        else f"{result.jobs} jobs"
    )
    verb = "would delete" if dry_run else "deleted"
    ended = "were last written" if logs else "ended"
    click.echo(f"{verb} {summary} that {ended} more than {span(result.older_than)} ago")
