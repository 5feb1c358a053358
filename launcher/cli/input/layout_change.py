"""What the verbs that change the layout share: options, the request, following it to its end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from launcher.cli.output import render, terminal
from launcher.client import Client
from launcher.errors import LauncherError
from launcher.wire import LayoutChange, LayoutEntry, LayoutRequest

F = TypeVar("F", bound=Callable[..., Any])


def gpu_option(function: F) -> F:
    """Add ``--gpu N``."""
    return click.option(
        "--gpu", metavar="N", help="The GPU's index or UUID; left out where only one can be meant."
    )(function)


def gpus_option(function: F) -> F:
    """Add ``--gpu N[,N]...``, which may be repeated, and ``--all``."""
    named = click.option(
        "--gpu",
        "gpus",
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
    named = [*(["cancel"] if cancel_jobs else []), *(["wait"] if waiting else [])]
    busy = "-and-".join(named) or "refuse"
    return LayoutRequest(verb=verb, request=" ".join(words), entries=entries, busy=busy)  # type: ignore[arg-type]


def follow(client: Client, begun: LayoutChange, output: str) -> int:
    """Stay with a change to its end; return 0 if it was applied, else 1 with what stands now.

    Ctrl-C and SIGTERM give up a change that still waits.
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
    if output == "json":
        render.print_json(ended)
    elif output == "name":
        render.print_names([ended.id])
    else:
        for step in ended.done:
            sys.stdout.write(f"{terminal.safe(step)}\n")
    if ended.warning is not None:
        terminal.complain(f"device nodes or CDI did not follow: {ended.warning}")
    if ended.result == "applied":
        if output == "table":
            terminal.say("applied and verified" if ended.done else "nothing to change")
        return 0
    terminal.complain(
        f"layout change {ended.id} {ended.result}: {ended.message or 'no reason told'}"
    )
    return 1


def _give_up(client: Client, change: int) -> None:
    try:
        client.layout.cancel(change)
    except LauncherError as error:
        terminal.say(error.message)
