"""``launch requeue``: stop running jobs and queue them again."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.bulk import each
from launcher.cli.input.common import JOBS, output_option
from launcher.client import Client


@click.command("requeue", short_help="Stop running jobs and queue them again.", epilog=JOBS)
@output_option
@click.argument("refs", type=params.LIVE_JOB, nargs=-1, required=True, metavar="JOB...")
def command(refs: tuple[str, ...], output: str) -> int:
    """Stop running jobs and queue them again, under their ids.

    A job gets its stop signal, is killed after its grace period, and waits for its turn again; it
    begins anew. For jobs that have ended there is `launch retry`.
    """
    return each(Client.requeue, refs, output)
