"""Flags of ``docker run`` that people type by habit: what each means for a job.

NVIDIA's release notes tell everybody to type ``--ipc=host --ulimit memlock=-1 --rm -it``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])

_TERMINAL = {"-it": ["--interactive", "--tty"], "-ti": ["--interactive", "--tty"]}
"""-t is the time limit here, so these two words are read whole."""
_OPTIONS = (
    click.option("--rm", is_flag=True, hidden=True),
    click.option("-i", "--interactive", is_flag=True, hidden=True),
    click.option("--tty", is_flag=True, hidden=True),
    click.option("--ipc", type=click.Choice(["host", "private", "shareable", "none"]), hidden=True),
)


def docker_flags(command: F) -> F:
    """Give a command the flags, which are not in its help."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def spelled_out(options: Sequence[str]) -> list[str]:
    """Return the options with -it as two of them."""
    return [word for option in options for word in _TERMINAL.get(option, [option])]


def notes(flags: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the flags do not do here; containers are always removed (--rm)."""
    if flags["interactive"] or flags["tty"]:
        yield "a job has no terminal and reads no input: -i and -t are ignored"
    if flags["ipc"] in ("host", "shareable"):
        yield (
            f"--ipc={flags['ipc']} is ignored: a job has a /dev/shm of its own, half of its memory "
            "(--shm-size sets it)"
        )
