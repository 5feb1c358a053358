"""``launch exec``: a further command in a running job."""

from __future__ import annotations

from typing import Any

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, docker_codes
from launcher.cli.input.docker_flags import must_be_terminal, terminal_flags
from launcher.cli.input.options import environment
from launcher.cli.input.words import WordsCommand


@click.command("exec", cls=WordsCommand, short_help="Run a further command in a running job.")
@terminal_flags
@environment
@click.option("-w", "--workdir", type=params.CONTAINER_PATH)
@click.argument("ref", type=params.LIVE_JOB, metavar="JOB")
@click.argument("words", nargs=-1, required=True, type=params.TEXT, metavar="[--] COMMAND...")
def command(ref: str, words: tuple[str, ...], detach_keys: bytes, **flags: Any) -> int:
    """Run a further command in a job's container: as the job's user, on its slice, in its limits.

    It ends with the job at the latest. Options stand before JOB or right behind it; `--` ends them.

    Exit status: the command's own.
    """
    if flags["tty"] and flags["interactive"]:
        must_be_terminal()
    from launcher.cli.foreground.executing import execute
    from launcher.cli.input.run_request import variables_of

    with docker_codes():
        return execute(
            connect(),
            ref,
            words,
            tty=flags["tty"],
            stdin=flags["interactive"],
            environment=variables_of(flags["env"], flags["env_file"]),
            working_dir=flags["workdir"],
            keys=detach_keys,
        )
