"""``launch host``: one command on the machine itself, with its own slice."""

from __future__ import annotations

from typing import Any

import click

from launcher.cli.input import params
from launcher.cli.input.argv_split import is_terminal
from launcher.cli.input.common import connect_or_start, docker_codes, elsewhere
from launcher.cli.input.docker_flags import must_be_terminal, spelled_out
from launcher.cli.input.options import check_array, environment, queued, slices_and_queue
from launcher.cli.output import terminal


class HostCommand(click.Command):
    """A command that takes docker's -it, although -t is the time limit."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Spell -it out where it stands before the job's own command."""
        rest = args.index("--") if "--" in args else len(args)
        at = next((n for n, word in enumerate(args[:rest]) if is_terminal(word)), None)
        if at is not None and all(word[:1] == "-" for word in args[:at]):
            args = [*args[:at], *spelled_out([args[at]]), *args[at + 1 :]]
        return super().parse_args(ctx, args)


@click.command(
    "host",
    cls=HostCommand,
    short_help="Run one command on this machine itself, on its own slice.",
    context_settings={"allow_interspersed_args": False},
)
@slices_and_queue
@click.option("--name", type=params.NAME, help="The job's name (the program's).")
@environment
@click.option("-m", "--memory", type=params.SIZE, help="Memory limit: 24g.")
@click.option("--cpus", type=params.CPUS, help="Cores: 4, 0.5.")
@click.option(
    "--stop-timeout", type=params.TEXT, metavar="SECONDS", help="Grace when stopped (10)."
)
@click.option("-d", "--detach", is_flag=True, help="Queue it, print its id, and return.")
@click.option(
    "-i",
    "--interactive",
    is_flag=True,
    help="-it: it ends with this terminal; -dit: one for `launch attach`.",
)
@click.option("--tty", is_flag=True, help="Likewise.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of its waiting and starting.")
@click.argument("words", nargs=-1, required=True, type=params.TEXT, metavar="[--] COMMAND...")
def command(quiet: bool, **flags: Any) -> int:
    """Run one command on this machine itself, with its own slice.

    The command waits in the same queue as containers, and runs as you, in this directory, with this
    terminal and environment. CUDA_VISIBLE_DEVICES names its slices; without a GPU option it is
    empty. The slices are released when the command and everything it started have ended. If this
    command is killed, the job's goes on; with -it it gets SIGHUP, as when a terminal is closed.

    With -d it runs in the background: its output is in `launch logs`, and its environment is that
    of a new login with what -e and --env-file name, not this one. With -dit it has a terminal of
    its own, which `launch attach` shows.

    Exit status: the command's own, or 128 and the number of the signal that ended it; 124 time
    limit, 125 it never ran, 126 or 127 it cannot run or is not found, 130 cancelled.
    """
    from launcher.cli.foreground.on_host import run_on_host
    from launcher.cli.input.run_request import build_host

    check_array(flags, "launch host", detach=flags["detach"])
    interactive = flags["tty"] and flags["interactive"]
    if interactive and not flags["detach"]:
        must_be_terminal()
    if (machine := elsewhere()) and not flags["detach"]:
        raise click.UsageError(
            f"The command would run here and not on {machine}: with -d it runs there,"
            " and `launch logs -f` shows its output."
        )
    request = build_host(flags)
    with docker_codes():
        client = connect_or_start(quiet=quiet)
        if request.gpus.count > 1 and not quiet:
            terminal.say("note: one process sees one MIG device; use one process per slice")
        if flags["detach"]:
            return queued(client.submit([request]))
        return run_on_host(client, request, quiet=quiet, interactive=interactive)
