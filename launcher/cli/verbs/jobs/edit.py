"""``launch edit``: change jobs that wait."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.bulk import each
from launcher.cli.input.common import JOBS, output_option
from launcher.spec.gpus import GpuRequest
from launcher.wire import EditRequest

NO_LIMIT = 0.0


def _limit(text: str) -> float:
    if text.strip().lower() == "none":
        return NO_LIMIT
    limit: float = params.TIME_LIMIT.convert(text, None, None)
    return limit


LIMIT = params.Parsed("time", _limit)


@click.command("edit", short_help="Change jobs that wait.", epilog=JOBS)
@click.option("--priority", type=params.PRIORITY, help="0 to 50 for everybody; higher goes first.")
@click.option(
    "-t", "--time", "time_limit", type=LIMIT, metavar="LIMIT", help="Time limit: 4h, 90m, none."
)
@click.option("--gpus", type=params.SPEC, metavar="SPEC", help="1g.6gb:2, full, none, …")
@click.option("--hold/--no-hold", default=None, help="Keep it from starting, or let it go.")
@output_option
@click.argument("refs", type=params.LIVE_JOB, nargs=-1, required=True, metavar="JOB...")
def command(
    refs: tuple[str, ...],
    priority: int | None,
    time_limit: float | None,
    gpus: GpuRequest | None,
    hold: bool | None,
    output: str,
) -> int:
    """Change jobs that wait; of one that runs only the time limit can be changed."""
    request = EditRequest(priority=priority, time_limit=time_limit, gpus=gpus, hold=hold)
    if request == EditRequest():
        raise click.UsageError(
            "Say what to change: --priority, --time, --gpus, --hold or --no-hold.",
            click.get_current_context(),
        )
    return each(lambda client, ref: client.edit(ref, request), refs, output)
