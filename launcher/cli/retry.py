"""``launch retry``: queue ended jobs again."""

from __future__ import annotations

import sys

import click

from launcher.cli.common import output_option
from launcher.cli.each import each
from launcher.client import Client
from launcher.wire import JobView


class Newest(str):
    """A name of a job file: of all jobs that ever had it, the newest is meant."""

    __slots__ = ()


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
def command(refs: tuple[str, ...], failed: bool, files: tuple[str, ...], output: str) -> int:
    """Queue ended jobs again, under their ids, as they were asked for.

    JOB is an id, a range such as 10-20, `last`, or a name; the id of an array means all of its
    elements that have ended, 12[3] and 12[0-9] only these. With --failed jobs that completed are
    left as they are.
    """
    if not refs and not files:
        raise click.UsageError("Say which jobs: JOB, or -f FILE.", click.get_current_context())

    def again(client: Client, ref: str) -> list[JobView]:
        return client.retry(_newest(client, ref) if isinstance(ref, Newest) else ref, failed=failed)

    return each(again, [*refs, *_names(files)], output)


def _names(files: tuple[str, ...]) -> list[Newest]:
    if not files:
        return []
    from launcher.jobfile import load

    return [
        Newest(name) for name in dict.fromkeys(job.name for job in load(files, sys.stdin.buffer))
    ]


def _newest(client: Client, name: str) -> int:
    """Return the id of the newest job of a name, or of its array."""
    job = client.show(name).job
    return int(job.array["id"]) if job.array else job.id
