"""``launch images``: whose the images of this machine are."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render, terminal


@click.group("images", short_help="Say whose the images of this machine are.")
def command() -> None:
    """Say whose the images of this machine are.

    An image is everybody's if a registry gave it without credentials, or an admin published it. One
    that was pulled with a user's credentials is theirs, and any other (built or pulled with docker)
    the admins'. Who may not run what is here must be given it by its registry.
    """


@command.command("publish", short_help="Make images everybody's (admins).")
@click.option("--all", "everything", is_flag=True, help="All images whose owner is not known.")
@output_option
@click.argument("images", nargs=-1, type=params.TEXT, metavar="[IMAGE]...")
def publish(images: tuple[str, ...], everything: bool, output: str) -> None:
    """Make images everybody's (admins): those named, or --all that the launcher did not pull.

    It cannot be taken back. Images that users pulled with their credentials are not among --all.
    """
    if everything == bool(images):
        raise click.UsageError("name images, or give --all.")
    result = connect().publish(None if everything else images)
    if output == "json":
        render.print_json(result)
    elif output == "name":
        render.print_names([image.name for image in result])
    else:
        render.print_table(("IMAGE", "ID"), [(image.name, image.id) for image in result])
        terminal.say(f"{len(result)} image(s) are everybody's now")
