"""Commands with a command of the user's at their end: ``run``, ``host``, ``exec``."""

from __future__ import annotations

import click

from launcher.cli.input.argv_split import split_words
from launcher.cli.input.docker_flags import spelled_out


class WordsCommand(click.Command):
    """A command whose options end where the job's own command begins."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put our options first and a ``--`` after them, then parse as usual."""
        takes_value = {
            name: not (option.is_flag or option.count)
            for option in self.get_params(ctx)
            if isinstance(option, click.Option)
            for name in (*option.opts, *option.secondary_opts)
        }
        options, image, command = split_words(args, takes_value)
        return super().parse_args(ctx, [*spelled_out(options), "--", *image, *command])
