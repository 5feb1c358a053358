"""``launch completion``: the script with which a shell completes ``launch``."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="Let bash, zsh or fish complete what you type.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script with which a shell completes verbs, options, jobs, profiles and images.

    \b
    bash, in ~/.bashrc:                 source <(launch completion bash)
    zsh, in ~/.zshrc, after compinit:   source <(launch completion zsh)
    fish, in its config.fish:           launch completion fish | source

    Where the daemon does not answer within a second, only verbs and options complete.
    """
    from launcher.cli.completion import shells

    click.echo(shells.script(ctx.find_root().command, shell), nl=False)
