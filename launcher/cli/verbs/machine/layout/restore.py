"""``launch layout restore``: bring the saved layout back."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import follow


@click.command("restore", short_help="Bring the saved layout back.")
@output_option
def command(output: str) -> int:
    """Bring the saved layout back, MIG mode included; what stands beside it stays."""
    client = connect()
    return follow(client, client.layout.restore(), output)
