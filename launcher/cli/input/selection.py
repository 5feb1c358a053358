"""The options that say which jobs are meant by their user, state and name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from launcher.cli.input import params
from launcher.wire.states import STATES, parse_live_states, parse_states

F = TypeVar("F", bound=Callable[..., object])


def selection(*, live: bool) -> Callable[[F], F]:
    """Give a command --user, --state and --name; ``live``: its jobs have not ended."""
    check = parse_live_states if live else parse_states
    words = ", ".join(STATES).lower() + ("" if live else ", failed, …")

    def text(value: str) -> str:
        check(value)
        return value.strip().lower()

    options = (
        click.option("--user", type=params.OWNER, metavar="me|NAME", help="Only this user's."),
        click.option(
            "--state",
            type=params.Parsed("state", text),
            metavar="STATE[,…]",
            help=f"Only those in these states: {words}.",
        ),
        click.option(
            "--name", type=params.TEXT, metavar="GLOB", help="Only those of such a name: 'train-*'."
        ),
    )

    def give(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return give
