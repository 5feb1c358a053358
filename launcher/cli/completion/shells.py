"""Click's classes for the shells, which complete the value of ``--option=value`` as well."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import (
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
)

from launcher.cli.completion import PROGRAM, VARIABLE
from launcher.cli.completion.bash import Bash


class _WholeWords(ShellComplete):
    """These shells replace the whole word, also that of an option with its value."""

    _option = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the whole words before the cursor, and the beginning of the one at it."""
        args, incomplete = super().get_completion_args()
        name, equals, _ = incomplete.partition("=")
        self._option = name + equals if equals and name.startswith("--") else ""
        return args, incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return the lines for the script."""
        if item.type == "plain":
            item.value = self._option + item.value
        return super().format_completion(item)


class Zsh(_WholeWords, ZshComplete):
    """Completes in zsh."""


class Fish(_WholeWords, FishComplete):
    """Completes in fish."""


def register() -> None:
    """Let click use these classes."""
    for kind in (Bash, Zsh, Fish):
        add_completion_class(kind)


def script(command: click.Command, shell: str) -> str:
    """Return a shell's script."""
    register()
    kind = get_completion_class(shell)
    assert kind is not None
    return kind(command, {}, PROGRAM, VARIABLE).source().lstrip()
