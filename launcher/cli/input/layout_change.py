"""What the verbs that change the layout share: options, the request, following it to its end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from launcher.cli.input import params
from launcher.cli.output import render, terminal
from launcher.client import Client
from launcher.errors import LauncherError
from launcher.text.safe_text import safe
from launcher.wire import LayoutChange, LayoutEntry, LayoutRequest

F = TypeVar("F", bound=Callable[..., Any])

EXIT_PENDING = 4
"""The change is made as far as it can be now, and takes effect after a reboot."""


def gpu_option(function: F) -> F:
    """Add ``--gpu N``."""
    return click.option(
        "--gpu",
        type=params.GPU,
        metavar="N",
        help="The GPU's index or UUID; left out where only one can be meant.",
    )(function)


def gpus_option(function: F) -> F:
    """Add ``--gpu N[,N]...``, which may be repeated, and ``--all``."""
    named = click.option(
        "--gpu",
        "gpus",
        type=params.GPU,
        metavar="N[,N]...",
        multiple=True,
        callback=_split,
        help="GPUs by index or UUID; left out where only one can be meant.",
    )
    every = click.option(
        "--all", "every", is_flag=True, help="Every GPU of the machine that supports MIG."
    )
    return named(every(function))


def _split(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> list[str]:
    """Return the GPUs of all ``--gpu`` options, each once."""
    parts = [part.strip() for text in value for part in text.split(",")]
    if not all(parts):
        raise click.BadParameter("name GPUs such as 0 or 0,2", ctx, param)
    return list(dict.fromkeys(parts))


def busy_options(function: F) -> F:
    """Add ``--wait`` and ``--cancel-jobs``."""
    waiting = click.option(
        "--wait",
        "waiting",
        is_flag=True,
        help="Drain what is in use, wait until it is free, do it.",
    )
    cancelling = click.option(
        "--cancel-jobs", is_flag=True, help="Cancel the launcher's jobs that are in the way."
    )
    return waiting(cancelling(function))


def named(gpu: str | None) -> list[str] | None:
    """Return the GPUs of an entry: the named one, or None for the only one there is."""
    return None if gpu is None else [gpu]


def selected(gpus: list[str], *, every: bool) -> list[str] | None:
    """Return the GPUs of an entry: empty for all, None for the only one that can be meant."""
    if every and gpus:
        raise click.UsageError("--all and --gpu cannot be used together.")
    return gpus if gpus or every else None


def in_words(gpus: list[str], *, every: bool) -> list[str]:
    """Return the selection of GPUs as it is recorded."""
    return ["--all"] if every else [f"--gpu {','.join(gpus)}"] if gpus else []


def request(
    verb: str,
    words: Sequence[str],
    entries: list[LayoutEntry],
    *,
    waiting: bool = False,
    cancel_jobs: bool = False,
) -> LayoutRequest:
    """Return the request; ``words`` are what is written down as asked for."""
    busy = busy_of(waiting=waiting, cancel_jobs=cancel_jobs)
    return LayoutRequest(verb=verb, request=" ".join(words), entries=entries, busy=busy)  # type: ignore[arg-type]


def busy_of(*, waiting: bool, cancel_jobs: bool) -> str:
    """Return the word of the API for ``--wait`` and ``--cancel-jobs``."""
    words = [*(["cancel"] if cancel_jobs else []), *(["wait"] if waiting else [])]
    return "-and-".join(words) or "refuse"


def follow(
    client: Client, begun: LayoutChange, output: str, pending_status: int = EXIT_PENDING
) -> int:
    """Follow a change to its end; return the exit status.

    0 if it was applied, ``pending_status`` if it takes effect after a reboot, otherwise 1, with
    the present layout. Ctrl-C and SIGTERM cancel a change that still waits.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if begun.state == "waiting":
            users = (begun.message or "").removeprefix("waits: ")
            terminal.say(
                f"layout change {begun.id} waits until what is in the way is free: {users}"
            )
        ended = client.layout.wait(begun.id)
    except KeyboardInterrupt:
        _give_up(client, begun.id)
        ended = client.layout.wait(begun.id)
    _print(ended, output)
    if ended.result == "applied":
        if output == "table":
            terminal.say("applied and verified" if ended.done else "nothing to change")
        return 0
    if ended.state == "pending":
        terminal.say(
            f"{ended.message or 'MIG mode takes effect after a reboot'}; then run `launch layout "
            f"changes`: the daemon completes change {ended.id} by itself"
        )
        return pending_status
    terminal.complain(
        f"layout change {ended.id} {ended.result}: {ended.message or 'no reason given'}"
    )
    return 1


def _print(ended: LayoutChange, output: str) -> None:
    if output == "json":
        render.print_json(ended)
    elif output == "name":
        render.print_names([ended.id])
    else:
        for step in ended.done:
            sys.stdout.write(f"{safe(step)}\n")
    if ended.warning is not None:
        terminal.complain(f"device nodes or CDI did not follow: {ended.warning}")


def _give_up(client: Client, change: int) -> None:
    try:
        client.layout.cancel(change)
    except LauncherError as error:
        terminal.say(error.message)
