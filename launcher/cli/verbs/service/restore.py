"""``launch restore``: a backup in the place of the database."""

from __future__ import annotations

from pathlib import Path

import click

from launcher.cli.output import terminal


@click.command("restore", short_help="Put a copy in the place of a lost database.")
@click.option("--state-dir", metavar="DIR", help="Where the daemon keeps its state.")
@click.option("--config", metavar="FILE", help="The daemon's launcher.toml.")
@click.argument(
    "file", type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=False)
)
def command(file: Path, state_dir: str | None, config: str | None) -> None:
    """Put FILE, which `launch backup` wrote, in the place of the database of a stopped daemon.

    What happened since the backup is unknown. So every job that had not ended is held with the
    reason Restored: `launch release` runs it again, `launch cancel` ends it. Containers that still
    run for such jobs are not touched, and their slices count as in use by others. Ids that were
    given out before are not used again. The database that was there is kept under another name.
    """
    from launcher.daemon.recovery.restore import restore

    for line in restore(file, {"state_dir": state_dir, "config": config}):
        terminal.say(line)
