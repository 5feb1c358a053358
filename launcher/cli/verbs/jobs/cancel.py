"""``launch cancel``: end jobs."""

from __future__ import annotations

import functools

import click

from launcher.cli.input import params
from launcher.cli.input.bulk import each
from launcher.cli.input.common import JOBS, connect, output_option
from launcher.cli.input.selection import selection
from launcher.cli.output import terminal
from launcher.cli.output.job_tables import print_short
from launcher.client import Client
from launcher.wire import JobView


@click.command("cancel", short_help="End jobs.", epilog=JOBS)
@selection(live=True)
@click.option("--now", is_flag=True, help="Kill running jobs without their grace period.")
@output_option
@click.argument("refs", type=params.LIVE_JOB, nargs=-1, metavar="[JOB]...")
def command(
    refs: tuple[str, ...],
    user: str | None,
    state: str | None,
    name: str | None,
    now: bool,
    output: str,
) -> int:
    """End jobs: those that wait never start, those that run are stopped.

    A running job gets its stop signal, and is killed after its grace period. A second `launch
    cancel`, --now, and an admin's cancel of another user's job kill it at once.

    Without JOB, all of your jobs that pass --user, --state and
    --name are meant: an admin's are everybody's, unless --user says whose.
    """
    if user is None and state is None and name is None:
        if not refs:
            raise click.UsageError(
                "Say which jobs: JOB, or --user, --state or --name.", click.get_current_context()
            )
        return each(functools.partial(_cancel, now=now), refs, output)
    from launcher.wire import SelectRequest

    select = SelectRequest(refs=list(refs), user=user, state=state, name=name, now=now)
    ended = connect().cancel_all(select)
    if ended or output != "table":
        print_short(ended, output)
    else:
        terminal.say("no job that waits or runs is meant: nothing was ended")
    return 0


def _cancel(client: Client, ref: str, *, now: bool) -> list[JobView]:
    ended = client.cancel(ref, now=now)
    if not ended:
        terminal.say(f"nothing of {ref} waits or runs")
    return ended
