"""``launch advice``: what jobs could request instead, by what earlier ones used."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect
from launcher.cli.output import render, terminal
from launcher.text.job_format import advice_text


@click.command("advice", short_help="Say which jobs request more than they use.")
@click.option(
    "-u",
    "--user",
    type=params.OWNER,
    metavar="USER",
    help="As an admin: only this user's jobs (a name, or me).",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table",
    help="How to print: a table, or one JSON document.",
)  # fmt: skip
def command(user: str | None, output: str) -> None:
    """Say which of your jobs request more than they use (admins: everybody's).

    It examines the jobs that ended in the last 30 days, by their name: whether each would have fit
    a smaller slice, whether any of them used its GPU, and whether the time limit is far above the
    longest run. A smaller slice has the highest peak of GPU memory with a margin of 10 % and 256
    MiB. `launch show JOB` says what one job used.
    """
    views = connect().queue.advice(user)
    if output == "json":
        render.print_json(views)
        return
    rows = [(each.user, each.name, each.jobs, advice_text(each)) for each in views]
    render.print_table(("USER", "NAME", "JOBS", "ADVICE"), rows)
    if not rows:
        terminal.say("no job of the last 30 days is known to request more than it used")
