"""``launch wait``: wait until jobs have ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import click

from launcher.cli.input import params
from launcher.cli.input.common import JOBS, connect, docker_codes, output_option
from launcher.cli.output import terminal
from launcher.cli.output.exit_codes import EXIT_TIMEOUT, exit_status
from launcher.cli.output.job_tables import print_short
from launcher.cli.output.tally import Tally
from launcher.client import Client
from launcher.errors import UserError
from launcher.wire import JobView


@click.command("wait", short_help="Wait until jobs have ended.", epilog=JOBS)
@click.option(
    "--timeout", type=params.DURATION, metavar="TIME", help="Wait no longer than this (30s)."
)
@output_option
@click.argument("refs", type=params.LIVE_JOB, nargs=-1, required=True, metavar="JOB...")
def command(refs: tuple[str, ...], timeout: float | None, output: str) -> int:
    """Wait until jobs have ended, and return how.

    For one job the exit status is the job's own, as `launch run` returns it; for several it is 0 if
    all completed, else 1. It is 124 if --timeout passed first.
    """
    with docker_codes():
        client = connect()
        jobs = wait_for(client, _ids(client, refs), timeout)
        print_short(jobs, output)
        if any(job.outcome is None for job in jobs):
            terminal.complain(f"not all jobs ended within {timeout:g} s")
            return EXIT_TIMEOUT
        return exit_status(jobs[0]) if len(jobs) == 1 else together(jobs)


def _ids(client: Client, refs: Sequence[str]) -> Sequence[int | str]:
    """Return the jobs that are meant; a daemon that is being restarted is waited for."""
    if len(refs) == 1 and refs[0].isdecimal():
        with contextlib.suppress(UserError):  # it is an array
            client.wait(refs[0], 0)
            return refs
    return [job.id for job in client.jobs(refs)]


def wait_for(client: Client, refs: Sequence[int | str], timeout: float | None) -> list[JobView]:
    """Return the jobs once all have ended, or as they are when the time is over."""
    end = None if timeout is None else time.monotonic() + timeout
    views = []
    with Tally(client, refs) as tally:
        for ref in refs:
            left = None if end is None else max(0.0, end - time.monotonic())
            views.append(tally.wait(ref, left))
    return views


def together(jobs: Sequence[JobView]) -> int:
    """Return 0 if all of these completed, else 1."""
    return 0 if all(job.outcome == "COMPLETED" for job in jobs) else 1
