"""A click group whose verbs are modules, imported when they are called: ``--help`` loads none."""

from __future__ import annotations

import importlib
import keyword
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """``sections``: heading -> verb -> summary. ``packages``: heading -> where its modules are."""

    def __init__(
        self,
        *args: Any,
        packages: Mapping[str, str],
        sections: Mapping[str, Mapping[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._packages, self._sections = packages, sections

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the help page."""
        return [verb for verbs in self._sections.values() for verb in verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb's command, from the module of its name."""
        for heading, verbs in self._sections.items():
            if cmd_name in verbs:
                name = cmd_name.replace("-", "_") + ("_" if keyword.iskeyword(cmd_name) else "")
                module = f"{self._packages[heading]}.{name}"
                command: click.Command = importlib.import_module(module).command
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs under their headings."""
        for heading, verbs in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl(list(verbs.items()))
