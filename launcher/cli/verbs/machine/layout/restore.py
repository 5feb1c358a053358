"""``launch layout restore``: bring a saved layout back."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import busy_of, busy_options, follow
from launcher.wire import RestoreRequest


@click.command("restore", short_help="Bring a saved layout back.")
@click.argument("name", required=False)
@click.option("--exact", is_flag=True, help="Remove all other slices of its GPUs.")
@busy_options
@output_option
def command(name: str | None, exact: bool, waiting: bool, cancel_jobs: bool, output: str) -> int:
    """Bring the saved layout back, MIG mode included; other slices stay without --exact.

    Without NAME it is the one that is restored after a reboot. `launch layout save --list` lists
    the names. Exit status: as of `launch layout apply`.
    """
    client = connect()
    busy = busy_of(waiting=waiting, cancel_jobs=cancel_jobs)
    request = RestoreRequest(name=name, exact=exact, busy=busy)  # type: ignore[arg-type]
    return follow(client, client.layout.restore(request), output)
