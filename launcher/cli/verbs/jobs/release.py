"""``launch release``: let held jobs go."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.bulk import each
from launcher.cli.input.common import JOBS, output_option
from launcher.client import Client


@click.command("release", short_help="Let held jobs go.", epilog=JOBS)
@output_option
@click.argument("refs", type=params.LIVE_JOB, nargs=-1, required=True, metavar="JOB...")
def command(refs: tuple[str, ...], output: str) -> int:
    """Let held jobs go, also those that were held because their starts failed."""
    return each(Client.release, refs, output)
