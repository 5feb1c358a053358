"""``launch top``: the slices, who is on them, and the queue, live."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import UTC, datetime

import click

from launcher.cli.input.common import connect, connect_async
from launcher.cli.output import terminal
from launcher.client import Client
from launcher.errors import LauncherError


@click.command("top", short_help="Watch the slices and the queue live.")
@click.option("--once", is_flag=True, help="Print one frame as plain text, without a terminal.")
def command(once: bool) -> int:
    """Watch the slices and the queue live.

    Each GPU is a bar over its memory, with its slices to scale: profile, who is on it, and how much
    of its memory is used. Below are the slices one by one, with the time that is left of each job
    and, for its owner and admins, the processes; then the jobs that run, and those that wait with
    their reason and likely start.

    Keys: arrows or j and k choose a job, l shows its log (escape goes back), c cancels it (and asks
    first), h holds or releases it, m shows only your jobs, / filters, ? shows the keys, q leaves.

    The view follows the daemon, also when it is restarted. It works without colours (NO_COLOR).
    """
    if not (once or (sys.stdin.isatty() and sys.stdout.isatty() and terminal.can_redraw())):
        raise click.UsageError(
            "This is not a terminal that can redraw: `launch top --once` prints one frame.",
            click.get_current_context(),
        )
    from launcher.cli.output.charts.gantt import speaks_utf8
    from launcher.client.snapshot import read

    client = connect(quiet=not once)
    ascii_only = not speaks_utf8(sys.stdout.encoding)
    if once:
        _print(client, ascii_only=ascii_only)
        return 0
    from launcher.cli.live.app import run_top

    return run_top(connect_async(), read(client), _user(), ascii_only=ascii_only)


def _print(client: Client, *, ascii_only: bool) -> None:
    from launcher.cli.live.frame import Look, draw
    from launcher.cli.live.spans import plain
    from launcher.client.snapshot import has_starts, read, read_starts

    snapshot, starts = read(client), dict[int, float]()
    if has_starts(snapshot):
        try:
            starts = read_starts(client)
        except LauncherError:
            starts = {}  # only the column START is missing
    look = Look(shutil.get_terminal_size((80, 24)).columns, starts=starts, ascii_only=ascii_only)
    lines = plain(draw(snapshot, look, datetime.now(UTC)).lines)
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
