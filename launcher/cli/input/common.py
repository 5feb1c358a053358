"""What several verbs share: the ``-o`` option, the client, and docker's exit codes for failures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from launcher.cli.output import terminal
from launcher.cli.output.exit_codes import EXIT_NEVER_RAN
from launcher.client import Client, socket_candidates
from launcher.client.sockets import answers, checked_address, named_daemon
from launcher.errors import LauncherError, UserError

if TYPE_CHECKING:
    from launcher.client.aio.client import AsyncClient
    from launcher.wire import RegistryAuth

JOBS = (
    "JOB is an id, `last`, or a name, which means your newest job of that name. If that is an"
    " array, all of it is meant; 12[3], train[0-9] and last[0,3] are elements of it. 10-20 are the"
    " jobs and arrays with these ids."
)
"""What a reference to jobs means, at the end of the help of each verb that takes one."""

_KEPT: list[Client] = []
"""Clients whose ssh connection ends with this process: nothing waits for its end."""

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


def chosen_daemon() -> str | None:
    """Return the daemon of ``-H`` or LAUNCHER_HOST; None: this machine's."""
    context = click.get_current_context(silent=True)
    host = context.find_root().params.get("host") if context else None
    return named_daemon() if host is None else checked_address(host)


def elsewhere() -> str | None:
    """Return the address of a daemon on another machine; None: it is on this one."""
    daemon = chosen_daemon()
    return daemon if daemon and daemon.startswith("ssh://") else None


def mounts_are_elsewhere() -> None:
    """Let mounts be directories of the daemon's machine, if that is not this one."""
    if (machine := elsewhere()) is not None:
        from launcher.jobfile.values.volumes import MOUNTED_ON, OtherMachine

        def account() -> tuple[str, str]:
            host = connect().ssh_host
            return ("", "") if host is None else host.account()

        MOUNTED_ON.set(OtherMachine(machine, account))


def watch_option(function: F) -> F:
    """Add ``--watch``."""
    return click.option(
        "-w",
        "--watch",
        "watched",
        is_flag=True,
        help="Print again whenever something changes, until Ctrl-C.",
    )(function)


def connect(*, quiet: bool = False) -> Client:
    """Return the client, one for the whole verb; what it has to say goes to stderr."""
    context = click.get_current_context(silent=True)
    root = context and context.find_root()
    if root and isinstance(root.obj, Client):
        return root.obj
    client = Client(chosen_daemon(), notice=None if quiet else terminal.complain)
    if root:
        root.obj = client
    if client.ssh_host is not None:
        _KEPT.append(client)
        client.ssh_host.notice = terminal.complain  # also if quiet: a key may have to be touched
        client.ssh_host.path()  # ssh asks its questions before signals are handled for a job
    return client


def connect_async() -> AsyncClient:
    """Return the client for an event loop; what it has to say is dropped."""
    from launcher.client.aio.client import AsyncClient

    return AsyncClient(chosen_daemon())


def connect_or_start(*, quiet: bool = False) -> Client:
    """Return the client; a daemon of the user's own is started where nobody runs one."""
    if chosen_daemon() is None and not any(answers(path) for path in socket_candidates()):
        from launcher.client.autostart import ensure_daemon

        if ensure_daemon() and not quiet:
            terminal.complain("started a daemon of your own (it ends when it has been idle)")
    return connect(quiet=quiet)


def credentials(images: Iterable[str]) -> dict[str, RegistryAuth]:
    """Return the user's own credentials for the images' registries; most users have none."""
    directory = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")  # noqa: PTH111
    if not os.access(f"{directory}/config.json", os.R_OK):
        return {}
    from launcher.client.credentials import credentials_for

    return credentials_for(images)


@contextmanager
def docker_codes() -> Iterator[None]:
    """Exit with 125, as docker does, when it is the launcher that failed and not the job."""
    try:
        yield
    except (UserError, click.ClickException, click.exceptions.Exit, click.Abort, OSError):
        raise
    except LauncherError as error:
        terminal.report(error)
        raise click.exceptions.Exit(EXIT_NEVER_RAN) from error
    except Exception as error:
        terminal.report_internal(error)
        raise click.exceptions.Exit(EXIT_NEVER_RAN) from error
