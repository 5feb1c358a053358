"""Flags of ``docker run`` that people type by habit: what each means for a job.

NVIDIA's release notes tell everybody to type ``--ipc=host --ulimit memlock=-1 --rm -it``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click

from launcher.cli.input import params
from launcher.cli.input.argv_split import is_terminal
from launcher.cli.input.detach_keys import DEFAULT

F = TypeVar("F", bound=Callable[..., object])

DOCKER_OPTIONS = {
    "--cap-add": "jobs run without extra capabilities",
    "--cpuset-cpus": "write --cpus NUMBER",
    "--device": "ask for GPUs with --profile; a job has no other devices",
    "--init": "leave it out, a job has an init process",
    "--memory-swap": "leave it out, and limit the memory with -m",
    "--mount": "write -v SOURCE:TARGET[:ro]",
    "--net": "write --network",
    "--privileged": "a job that saw every GPU would break everybody's isolation",
    "--restart": "write --retries N",
    "--runtime": "leave it out, --profile gives a job its slice",
    "--stop-signal": "leave it out, a job gets the stop signal of its image",
    "--tmpfs": "write --tmp memory, which keeps /tmp in memory",
    "--volumes-from": "name the directories of this machine with -v",
}
"""Options of ``docker run`` that `launch run` does not have, and what to do instead."""
_LONG = {"i": "--interactive", "t": "--tty", "d": "--detach", "q": "--quiet"}
_OPTIONS = (
    click.option("--rm", is_flag=True, hidden=True),
    click.option("--ipc", type=click.Choice(["host", "private", "shareable", "none"]), hidden=True),
)


_TERMINAL = (
    click.option("-i", "--interactive", is_flag=True, help="Send stdin to it; -it: a terminal."),
    click.option("--tty", is_flag=True, help="Give it a terminal; -it: one to type into."),
)
detach_keys_option = click.option(
    "--detach-keys",
    type=params.DETACH_KEYS,
    default=DEFAULT,
    metavar="KEYS",
    help=f"What leaves the terminal ({DEFAULT}).",
)


def docker_flags(command: F) -> F:
    """Give a command the flags, which are not in its help."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def terminal_flags(command: F) -> F:
    """Give a command -i, --tty and --detach-keys."""
    for option in reversed((*_TERMINAL, detach_keys_option)):
        command = option(command)
    return command


def spelled_out(options: Sequence[str]) -> list[str]:
    """Return the options with -it as two of them: -t is the time limit here.

    >>> spelled_out(["-dit", "-t", "4h"])
    ['--detach', '--interactive', '--tty', '-t', '4h']
    """
    words: list[str] = []
    for option in options:
        words += [_LONG[each] for each in option[1:]] if is_terminal(option) else [option]
    return words


def must_be_terminal() -> None:
    """Raise ``click.UsageError`` if there is no terminal here to give to a job."""
    if not os.isatty(0):
        raise click.UsageError(
            "stdin is not a terminal, which -it needs: give -i alone to send it to the job.",
            click.get_current_context(),
        )


def notes(flags: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the flags do not do here; containers are always removed (--rm)."""
    if flags["ipc"] in ("host", "shareable"):
        yield (
            f"--ipc={flags['ipc']} is ignored: a job has a /dev/shm of its own, half of its memory "
            "(--shm-size sets it)"
        )
