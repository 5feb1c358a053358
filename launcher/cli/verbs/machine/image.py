"""``launch image``: your own images, and whose the images of this machine are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render, terminal
from launcher.text.moments import second
from launcher.text.safe_text import safe

if TYPE_CHECKING:
    from launcher.wire import LocalImageView

PIECE_BYTES = 1 << 18
SUFFIXES = (".gz", ".tgz", ".tar", ".oci", ".docker")


@click.group(
    "image", short_help="Show images and their use; load your own.", invoke_without_command=True
)
@output_option
@click.pass_context
def command(context: click.Context, output: str) -> None:
    """Show your images with size and last use; load images of your own.

    Without a further word it lists those that were pulled for you or that you loaded (admins: all).
    The launcher records the use of images
    that it pulled. With max_images in [history] of launcher.toml it removes the least recently used
    of those for space, but never one that an unfinished job needs.

    An image is everybody's if a registry gave it without credentials, or an admin published it. One
    that was pulled with a user's credentials or loaded by a user is theirs, and any other (built or
    pulled with docker) the admins'. Who may not run what is here must be given it by its registry.
    """
    if context.invoked_subcommand is None:
        _print_local(connect().image.local(), output)


def _print_local(images: Sequence[LocalImageView], output: str) -> None:
    if output == "json":
        render.print_json(list(images))
        return
    if output == "name":
        render.print_names([name for image in images for name in image.names])
        return
    rows = [
        (
            ", ".join(image.names) or image.id[:19],
            f"{image.bytes / 2**20:.0f}MiB",
            image.access,
            second(image.used_at) if image.used_at else "-",
            image.used_by or "-",
            image.pulled_by or "-",
            image.jobs,
        )
        for image in images
    ]
    headings = ("NAME", "SIZE", "ACCESS", "LAST USE", "BY", "PULLED BY", "JOBS")
    render.print_table(headings, rows, ("NAME",))


@command.command("load", short_help="Load an image from an archive.")
@click.option("--name", type=params.TEXT, metavar="NAME[:TAG]", help="Its name (that of FILE).")
@output_option
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, readable=False, allow_dash=True)
)
def load(file: str, name: str | None, output: str) -> None:
    """Load an image that `docker save` or buildah wrote; FILE may be - for standard input.

    Jobs of yours name it localhost/NAME[:TAG]. Its own names are left out: they could stand for
    other people's images. It is yours alone until an admin publishes it.
    """
    if name is None and file == "-":
        raise click.UsageError("give the image a name: --name NAME.")
    client = connect()
    with click.open_file(file, "rb") as stream:
        image = client.image.load(name or _name_of(file), _pieces(stream))
    if output == "json":
        render.print_json(image)
    else:
        click.echo(safe(image.name))


def _name_of(file: str) -> str:
    """Return a name for the image in a file.

    >>> _name_of("/tmp/My_App.tar.gz"), _name_of("x.oci.tar")
    ('my_app', 'x')
    """
    name = os.path.basename(file).lower()  # noqa: PTH119
    while name.endswith(SUFFIXES):
        name = name.rpartition(".")[0]
    return name


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(PIECE_BYTES):
        yield piece


@command.command("ls", short_help="List the images that you loaded.")
@output_option
def ls(output: str) -> None:
    """List the images that you loaded (admins: that all users loaded)."""
    images = connect().image.all()
    if output == "json":
        render.print_json(images)
    elif output == "name":
        render.print_names([image.name for image in images])
    else:
        rows = [
            (i.name, i.user, f"{i.bytes / 2**20:.0f}MiB", i.loaded_at[:19], "yes" * i.public)
            for i in images
        ]
        render.print_table(("NAME", "USER", "SIZE", "LOADED", "PUBLIC"), rows)


@command.command("rm", short_help="Remove an image that you loaded.")
@click.argument("images", nargs=-1, required=True, type=params.OWN_IMAGE, metavar="IMAGE...")
def rm(images: tuple[str, ...]) -> None:
    """Remove images that you loaded: localhost/NAME[:TAG]; as an admin localhost/USER/NAME[:TAG].

    Jobs that run go on. A job that waits for it fails when it starts.
    """
    client = connect()
    for image in images:
        sys.stdout.write(f"{safe(client.image.remove(image).name)}\n")


@command.command("publish", short_help="Make images everybody's (admins).")
@click.option("--all", "everything", is_flag=True, help="All images whose owner is not known.")
@output_option
@click.argument("images", nargs=-1, type=params.TEXT, metavar="[IMAGE]...")
def publish(images: tuple[str, ...], everything: bool, output: str) -> None:
    """Make images everybody's (admins): those named, or --all that the launcher did not pull.

    It cannot be taken back. Images that users loaded or pulled with their credentials are not among
    --all; name one of them localhost/USER/NAME[:TAG].
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
