"""``launch retry``: queue ended jobs again."""

from __future__ import annotations

import sys

import click

from launcher.cli.input import params
from launcher.cli.input.common import JOBS, connect, output_option
from launcher.cli.output.job_tables import print_short


@click.command("retry", short_help="Queue ended jobs again.", epilog=JOBS)
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
@click.argument("refs", type=params.JOB, nargs=-1, metavar="[JOB]...")
def command(refs: tuple[str, ...], failed: bool, files: tuple[str, ...], output: str) -> None:
    """Queue ended jobs again, under their ids, as they were asked for: after each other, too.

    Of an array, its elements that have ended are queued. With --failed jobs that completed are left
    as they are.
    """
    if not refs and not files:
        raise click.UsageError("Say which jobs: JOB, or -f FILE.", click.get_current_context())

    wanted = [*refs, *_names(files)]
    print_short(connect().retry(wanted, failed=failed), output)


def _names(files: tuple[str, ...]) -> list[str]:
    if not files:
        return []
    from launcher.jobfile import load

    return list(dict.fromkeys(job.name for job in load(files, sys.stdin.buffer)))
