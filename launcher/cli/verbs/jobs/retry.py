"""``launch retry``: queue ended jobs again."""

from __future__ import annotations

import sys

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.output.job_tables import print_short
from launcher.client import Client


@click.command("retry", short_help="Queue ended jobs again.")
@click.option("--failed", is_flag=True, help="Only those that failed.")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    help="The newest jobs of this job file's names (- is standard input).",
)
@output_option
@click.argument("refs", nargs=-1, metavar="[JOB]...")
def command(refs: tuple[str, ...], failed: bool, files: tuple[str, ...], output: str) -> None:
    """Queue ended jobs again, under their ids, as they were asked for: after each other, too.

    JOB is an id, a range such as 10-20, `last`, or a name; the id of an array means all of its
    elements that have ended, 12[3] and 12[0-9] only these. With --failed jobs that completed are
    left as they are.
    """
    if not refs and not files:
        raise click.UsageError("Say which jobs: JOB, or -f FILE.", click.get_current_context())

    names = _names(files)
    client = connect()
    wanted: list[int | str] = [*refs, *(_newest(client, name) for name in names)]
    print_short(client.retry(wanted, failed=failed), output)


def _names(files: tuple[str, ...]) -> list[str]:
    if not files:
        return []
    from launcher.jobfile import load

    return list(dict.fromkeys(job.name for job in load(files, sys.stdin.buffer)))


def _newest(client: Client, name: str) -> int:
    """Return the id of the newest job that ever had a name, or of its array."""
    job = client.show(name).job
    return int(job.array["id"]) if job.array else job.id
