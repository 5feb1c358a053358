"""Disk space of users' caches and running jobs, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher.cli.output import render, terminal
from launcher.text.sizes import size_text

if TYPE_CHECKING:
    from launcher.wire import UserDisk


def print_disk(views: Sequence[UserDisk], output: str) -> None:
    """Print the disk space of each user, and say whose jobs do not start because of it."""
    if output == "json":
        render.print_json(list(views))
        return
    rows = []
    for view in views:
        rows.append((view.user, "~/.cache", size_text(view.cache), size_text(view.cache_limit)))
        rows += [
            (view.user, f"job {j.id}", size_text(j.bytes), size_text(view.job_limit))
            for j in view.jobs
        ]
    render.print_table(("USER", "WHAT", "USED", "LIMIT"), rows)
    for view in views:
        if view.waits is not None:
            terminal.say(f"no job of {view.user} starts: {view.waits}")
