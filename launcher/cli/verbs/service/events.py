"""``launch events``: what happens to jobs and slices, as JSON lines."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect
from launcher.cli.output import terminal

if TYPE_CHECKING:
    from launcher.wire import EventLine

DAY = 86400.0
POLL_SECONDS = 25.0


@click.command("events", short_help="Show what happens to jobs and slices, as JSON lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new events, until Ctrl-C.")
@click.option(
    "--since", type=params.MOMENT, metavar="TIME",
    help="From then on: 10m (ago), 2026-12-01T02:00; without it the last day, with -f from now.",
)  # fmt: skip
@click.option(
    "--type", "types", type=params.EVENT_TYPE, multiple=True, metavar="TYPE",
    help="Only events of this type: job.ended, or job for all of jobs; again for more.",
)  # fmt: skip
@click.option("--user", type=params.OWNER, metavar="NAME", help="Only of this user's jobs.")
def command(follow: bool, since: float | None, types: tuple[str, ...], user: str | None) -> None:
    """Show what happens to jobs, arrays, slices and layouts: one JSON document a line.

    The lines have the schema of webhooks: `launch help monitoring` has its keys and types. Names,
    images and messages of others' jobs are null. The last 100,000 events are kept.
    """
    _must_be_known(types)
    client = connect()
    if since is None and not follow:
        since = time.time() - DAY
    position: int | None = None
    while True:
        wait = POLL_SECONDS if follow and position is not None else 0.0
        page = client.events(position, since=since, timeout=wait)
        is_new = position is None or page.next > position
        since, position = None, page.next
        if page.missed:
            terminal.say("Some events are missing: they are stored no more.")
        for event in page.events:
            if _is_meant(event, types, user):
                sys.stdout.write(json.dumps(dataclasses.asdict(event)) + "\n")
        sys.stdout.flush()
        if not follow and not (page.events and is_new):
            return


def _must_be_known(types: Iterable[str]) -> None:
    """Refuse a type that no event has: the output would be empty, and with -f stay so."""
    from launcher.wire.history import EVENT_TYPES

    for name in types:
        if not any(_is_of(known, name) for known in EVENT_TYPES):
            raise click.UsageError(
                f"--type: {name!r} is not a type of event; known are {', '.join(EVENT_TYPES)}."
            )


def _is_of(event_type: str, name: str) -> bool:
    """Whether a type is the named one, or one of those that begin with it: ``job``."""
    return event_type == name or event_type.startswith(f"{name}.")


def _is_meant(event: EventLine, types: tuple[str, ...], user: str | None) -> bool:
    if user is not None and event.user != user:
        return False
    return not types or any(_is_of(event.type, name) for name in types)
