"""``launch why``: why a job waits, and when it may start."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from launcher.cli.input import params
from launcher.cli.input.common import JOBS, connect, output_option
from launcher.cli.output import render
from launcher.cli.output.job_tables import tally
from launcher.text.job_format import gpus
from launcher.text.moments import moment, second, since, span
from launcher.text.safe_text import safe
from launcher.wire import BlockerView, JobView, Why, ref_of

GATES = ("GATE", "IS", "REASON", "NEEDS", "THERE IS")
AHEAD = ("ID", "USER", "STATE", "PRIORITY", "GPUS", "UNTIL")


@click.command("why", short_help="Say why a job waits, and when it may start.", epilog=JOBS)
@output_option
@click.argument("ref", type=params.LIVE_JOB, metavar="JOB")
def command(ref: str, output: str) -> None:
    """Say why a job waits: what it must pass to start, who is in the way, when it may start.

    What it must pass is shown in order, up to where it is blocked. UNTIL is when a job should end
    by its time limit. -o name prints the reasons. Of an array it is the element that is served
    next.
    """
    why = connect().queue.why(ref)
    if output == "json":
        render.print_json(document(why))
    elif output == "name":
        render.print_names(list(dict.fromkeys(blocker.kind for blocker in why.blockers)))
    else:
        _print(why, datetime.now(UTC))


def document(why: Why) -> dict[str, Any]:
    """Return what ``-o json`` prints: what programs ask for first, then all the rest."""
    rest = dataclasses.asdict(why)
    first = {
        "job": why.job.id,
        "state": why.job.state,
        "reason": why.job.reason,
        "position": why.position,
        "blockers": rest["blockers"],
        "estimated_start": why.estimated_start,
    }
    more = ("earliest_start", "estimate", "gates", "ahead", "array", "gpu_memory_auto_mib")
    return first | {key: rest[key] for key in more}


def _print(why: Why, now: datetime) -> None:
    job = why.job
    if why.array is not None:
        named = f"array {why.array.id}{f' {job.name}' if job.name else ''} of {job.user}"
        _line(f"{named}: {tally(why.array.counts)}")
    named = f"job {job.ref}{f' {job.name}' if job.name else ''} of {job.user}"
    if job.state != "PENDING":
        _line(f"{named} is {job.word}: it does not wait")
        return
    _line(f"{named}: {_facts(job, now)}")
    place = "not in the queue yet" if why.position is None else f"number {why.position}"
    _line(f"position: {place}")
    if why.gpu_memory_auto_mib is not None:
        _line(f"GPU memory: {why.gpu_memory_auto_mib} MiB, chosen from what earlier jobs used")
    _line("")
    render.print_table(GATES, list(_gates(why)), ("NEEDS", "IS"))
    if why.ahead:
        sys.stdout.write("\n")
        rows = [
            (
                ref_of(each.id, each.array),
                each.user,
                each.state,
                each.priority,
                gpus(each),
                _when(each.until, now),
            )
            for each in why.ahead
        ]
        render.print_table(AHEAD, rows, ("PRIORITY", "GPUS", "USER"))
    _line(f"\nearliest start:  {_when(why.earliest_start, now) or 'unknown'}, with nobody in front")
    _line(f"estimated start: {_when(why.estimated_start, now) or 'unknown'}")
    _line(f"  {why.estimate}")


def _facts(job: JobView, now: datetime) -> str:
    waits = since(job.submitted_at, now)
    return ", ".join(
        text
        for text in (
            job.word,
            gpus(job) or "no GPU",
            f"priority {job.priority}",
            f"waits for {waits}" if waits else None,
        )
        if text
    )


def _gates(why: Why) -> Iterator[tuple[object, ...]]:
    """Yield a row for each gate, and one for each blocker: a gate shows only its first."""
    left = list(why.blockers)
    for gate in why.gates:
        if gate.blocker is None:
            yield (gate.name, "ok" if gate.passed else "blocked", None, None, None)
            continue
        same = [each for each in left if each.kind == gate.blocker.kind] or [gate.blocker]
        left = [each for each in left if each not in same]
        yield from (_blocked(gate.name, each) for each in same)
    yield from (_blocked(None, each) for each in left)


def _blocked(name: str | None, blocker: BlockerView) -> tuple[object, ...]:
    return (name, "blocked", blocker.kind, blocker.need, blocker.have)


def _when(text: str | None, now: datetime) -> str | None:
    """Return a moment to the second, and how far away it is."""
    at = moment(text)
    if text is None or at is None:
        return text
    left = (at - now).total_seconds()
    away = f"in {span(left)}" if left >= 1 else "now" if left > -60 else f"{span(-left)} ago"
    return f"{second(text)} ({away})"


def _line(text: str) -> None:
    sys.stdout.write(safe(text, newlines=True) + "\n")
