"""What several verbs share: the ``-o`` option, the client, and docker's exit codes for failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from launcher.cli import terminal
from launcher.cli.jobs import EXIT_NEVER_RAN
from launcher.client import Client
from launcher.errors import LauncherError, UserError

F = TypeVar("F", bound=Callable[..., Any])


def output_option(function: F) -> F:
    """Add ``-o table|json|name``."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", "name"]),
        default="table",
        help="How to print: a table, one JSON document, or names only.",
    )(function)


def connect() -> Client:
    """Return the client; what it has to say goes to stderr."""
    return Client(notice=terminal.complain)


@contextmanager
def docker_codes() -> Iterator[None]:
    """Exit with 125, as docker does, when it is the launcher that failed and not the job."""
    try:
        yield
    except UserError:
        raise
    except LauncherError as error:
        terminal.report(error)
        raise click.exceptions.Exit(EXIT_NEVER_RAN) from error
