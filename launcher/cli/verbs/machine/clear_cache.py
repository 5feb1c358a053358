"""``launch clear-cache``: empty the ~/.cache that jobs have."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect
from launcher.text.safe_text import safe


@click.command("clear-cache", short_help="Empty the ~/.cache that your jobs share.")
@click.option("--user", type=params.OWNER, metavar="NAME", help="That of another user (admins).")
def command(user: str | None) -> None:
    """Empty the ~/.cache that your jobs share: weights, data sets, packages that pip downloaded.

    Jobs that run keep what is in theirs until they end. `launch usage --disk` shows its size.
    """
    reply = connect().clear_cache(user)
    user = safe(reply.user)
    click.echo(f"emptied ~/.cache of {user}: {reply.bytes / 2**20:.0f} MiB")
