"""``launch hold``: keep pending jobs from starting."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.bulk import each
from launcher.cli.input.common import JOBS, output_option
from launcher.client import Client


@click.command("hold", short_help="Keep pending jobs from starting.", epilog=JOBS)
@output_option
@click.argument("refs", type=params.LIVE_JOB, nargs=-1, required=True, metavar="JOB...")
def command(refs: tuple[str, ...], output: str) -> int:
    """Keep pending jobs from starting, until `launch release`. One that runs is left alone."""
    return each(Client.hold, refs, output)
