"""``launch layout create``: add one GPU instance."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import follow, gpu_option, named, request
from launcher.cli.input.layout_specs import spec
from launcher.wire import LayoutEntry


@click.command("create", short_help="Add one GPU instance.")
@click.argument("profile", type=params.ANY_PROFILE, metavar="PROFILE[@START]")
@gpu_option
@output_option
def command(profile: str, gpu: str | None, output: str) -> int:
    """Add one GPU instance with its compute instance beside what stands.

    With a profile such as 1c.3g.20gb: one more compute instance, in a GPU instance that has room
    for it or in a new one.
    """
    entry = LayoutEntry(gpus=named(gpu), specs=[spec(profile)], add=True)
    client = connect()
    return follow(client, client.layout.change(request("create", [profile], [entry])), output)
