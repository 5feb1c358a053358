"""``launch backup``: a copy of the daemon's database."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from launcher.cli.input.common import connect
from launcher.cli.output import terminal
from launcher.errors import UserError


@click.command("backup", short_help="Copy the daemon's database to a file.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, readable=False))
def command(file: Path, force: bool) -> None:
    """Write a consistent copy of the daemon's database to FILE, while it works; for admins.

    FILE has what jobs were submitted with, also their environment: only you can read it. Logs and
    users' secrets are not in it. `launch restore` brings it back.
    """
    if file.exists() and not force:
        raise UserError(f"{file} exists", fix="Choose another name, or give --force.")
    new = file.with_name(f"{file.name}.part")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as out:
            for piece in connect().backup():
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        new.replace(file)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
    terminal.say(f"{file}: {file.stat().st_size / 2**20:.1f} MiB")
