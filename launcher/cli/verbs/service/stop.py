"""``launch stop``: end the daemon."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render, terminal

ACTIVE = ("STARTING", "RUNNING", "COMPLETING")


@click.command("stop", short_help="End the daemon; its jobs go on.")
@click.option("--drain", is_flag=True, help="Start nothing new, and end once nothing runs.")
@output_option
@click.argument("jobs", nargs=-1, type=params.TEXT, metavar="")
def command(drain: bool, output: str, jobs: tuple[str, ...]) -> None:
    """End the daemon. Jobs that run go on, and the next daemon takes them over.

    With --drain it starts nothing new, still takes submits, and ends once nothing runs any more;
    what waits is started by the next daemon.
    """
    if jobs:
        raise click.UsageError(
            f"launch stop ends the daemon; to end a job: launch cancel {' '.join(jobs)}"
        )
    status = connect().stop(drain=drain)
    if output == "json":
        render.print_json(status)
    elif output == "name":
        render.print_names([status.pid])
    elif drain:
        running = sum(status.jobs.get(state, 0) for state in ACTIVE)
        terminal.say(
            f"the daemon (pid {status.pid}) starts nothing new and ends once nothing runs: "
            f"{_running(running)} now"
        )
    else:
        terminal.say(f"the daemon (pid {status.pid}) ends; its jobs go on")


def _running(count: int) -> str:
    if count == 0:
        return "no job runs"
    return "1 job runs" if count == 1 else f"{count} jobs run"
