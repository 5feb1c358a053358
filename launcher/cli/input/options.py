"""What the verbs that queue one job or array have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from launcher.cli.input import params
from launcher.spec.plain_fields import PLAIN_FIELDS
from launcher.text.safe_text import safe

if TYPE_CHECKING:
    from launcher.wire import JobView

F = TypeVar("F", bound=Callable[..., object])

_SLICES_AND_QUEUE = (
    click.option("--profile", type=params.ANY_PROFILE, help="The slice's profile: 1g.6gb."),
    click.option("--count", type=params.COUNT, metavar="N", help="How many such slices (1)."),
    click.option(
        "--gpu-memory",
        type=params.TEXT,
        metavar="SIZE",
        help="The smallest slice with: 10g; auto: as earlier jobs.",
    ),
    click.option(
        "--gpus", type=params.SPEC, metavar="SPEC", help="All in one: 1g.6gb:2, full, none, …"
    ),
    click.option("-t", "--time", "time_limit", type=params.TIME_LIMIT, help="Time limit: 4h, 90m."),
    click.option(
        "--priority", type=params.PRIORITY, help="0 to 50 for everybody; higher goes first."
    ),
    click.option(
        "--begin",
        type=params.BEGIN,
        metavar="TIME",
        help="No earlier: 2026-12-01T02:00, 16:00, tomorrow, +2h.",
    ),
    click.option("--hold", is_flag=True, help="Wait until `launch release`."),
    click.option(
        "--dependency",
        type=params.DEPENDENCY,
        metavar="HOW:JOB",
        help="After other jobs: afterok:12:13, afterany:14, after:15[3]+10, singleton.",
    ),
    click.option(
        "--array",
        type=params.ARRAY,
        metavar="INDICES[%N]",
        help="A job for each index, N at once: 0-99%7 (with -d).",
    ),
    click.option("--retries", type=params.RETRIES, metavar="N", help="Run again up to N times."),
    click.option(
        "--retry-on",
        type=params.RETRY_ON,
        metavar="WORDS",
        help="After infra (the default), oom, timeout, any, exit:75, exit:1-3.",
    ),
    click.option(
        "--retry-backoff",
        type=params.DURATION,
        help="First wait before a retry; then it doubles (0s).",
    ),
    click.option(
        "--signal",
        type=params.SIGNAL,
        metavar="NAME@TIME",
        help="Send it this long before the time limit: SIGUSR1@60s.",
    ),
    click.option(
        "--idle-timeout",
        type=params.TIME_LIMIT,
        help="Stop it after this time without GPU use: 30m.",
    ),
    click.option("--preemptible", is_flag=True, help="Give way to jobs of higher priority."),
    click.option(
        "--notify",
        type=params.NOTIFY,
        multiple=True,
        metavar="TARGET",
        help="Tell: mail, webhook=URL; ,on=start+failure; none. Again for more.",
    ),
)


def slices_and_queue(command: F) -> F:
    """Give a command the options that say which slices a job needs, and when it runs."""
    for option in reversed(_SLICES_AND_QUEUE):
        command = option(command)
    return command


def environment(command: F) -> F:
    """Give a command --env and --env-file."""
    file = click.option(
        "--env-file",
        type=params.TEXT,
        multiple=True,
        metavar="FILE",
        help="Variables of a file, read as Compose reads it.",
    )
    one = click.option("-e", "--env", type=params.TEXT, multiple=True, metavar="KEY[=VALUE]")
    return one(file(command))


def plain_fields(command: F) -> F:
    """Give a command an option for each plain field of a job."""
    for each in reversed(PLAIN_FIELDS):
        kind = params.Parsed(each.name, each.check)
        command = click.option(each.flag, type=kind, metavar=each.metavar, help=each.help)(command)
    return command


def check_array(flags: Mapping[str, Any], verb: str, *, detach: bool) -> None:
    """Raise ``click.UsageError`` for an array in the foreground."""
    if flags["array"] is not None and not detach:
        raise click.UsageError(
            f"--array queues many jobs, and `{verb}` follows one: add -d (--detach);"
            " `launch wait ID` waits for all of them.",
            click.get_current_context(),
        )


def queued(jobs: Sequence[JobView]) -> int:
    """Print the id of a job, or of its array, that was queued; the exit status."""
    first = jobs[0]
    number = first.array["id"] if first.array else first.id
    sys.stdout.write(f"{safe(str(number))}\n")
    return 0
