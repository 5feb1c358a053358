"""Disk space of users' caches and running jobs, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher.cli.output import render, terminal

if TYPE_CHECKING:
    from launcher.wire import UserDisk

GIB = 2**30


def print_disk(views: Sequence[UserDisk], output: str) -> None:
    """Print the disk space of each user, and say whose jobs do not start because of it."""
    if output == "json":
        render.print_json(list(views))
        return
    rows = []
    for view in views:
        rows.append((view.user, "~/.cache", _gib(view.cache), _gib(view.cache_limit)))
        rows += [(view.user, f"job {j.id}", _gib(j.bytes), _gib(view.job_limit)) for j in view.jobs]
    render.print_table(("USER", "WHAT", "USED", "LIMIT"), rows)
    for view in views:
        if view.waits is not None:
            terminal.say(f"no job of {view.user} starts: {view.waits}")


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}GiB" if size >= GIB else f"{size / 2**20:.0f}MiB"
