"""A click group whose verbs are modules, imported when they are called: ``--help`` loads none."""

from __future__ import annotations

import importlib
import keyword
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FORMER = {"images": "image"}
"""Names of verbs in 0.1.0."""
ELSEWHERE = {
    "inspect": "show", "kill": "cancel", "rm": "prune", "rmi": "image rm", "stats": "top",
    "sbatch": "submit", "srun": "run", "salloc": "shell", "sattach": "attach", "scancel": "cancel",
    "squeue": "ps", "sinfo": "slices", "sacct": "ps -a", "scontrol": "show", "seff": "show",
    "sstat": "top",
}  # fmt: skip
"""Commands of Docker and Slurm, and the verbs that do the same."""


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
        cmd_name = FORMER.get(cmd_name, cmd_name)
        for heading, verbs in self._sections.items():
            if cmd_name in verbs:
                name = cmd_name.replace("-", "_") + ("_" if keyword.iskeyword(cmd_name) else "")
                module = f"{self._packages[heading]}.{name}"
                command: click.Command = importlib.import_module(module).command
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb that is called; for an unknown one the error names the nearest."""
        name = args[0]
        if name[:1] != "-" and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            from difflib import get_close_matches

            if ctx.parent is None and name in ELSEWHERE:
                verb = ELSEWHERE[name]
                raise click.UsageError(f"There is no verb '{name}': use `launch {verb}`.", ctx)
            near = get_close_matches(name[:64], self.list_commands(ctx), n=2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"There is no verb '{name[:64]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return the verbs and options that begin so, without importing a verb."""
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(verb, help=summary)
            for verbs in self._sections.values()
            for verb, summary in verbs.items()
            if verb.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs under their headings."""
        for heading, verbs in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl(list(verbs.items()))
