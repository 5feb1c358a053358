"""``launch logs``: a job's output."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click

from launcher.cli.input import params
from launcher.cli.input.common import JOBS, connect
from launcher.cli.output import terminal
from launcher.cli.output.escapes import Cleaner
from launcher.wire import NOTE, STDERR, Frame


@click.command("logs", short_help="Print a job's output.", epilog=JOBS)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="An earlier attempt's.")
@click.option(
    "--since", type=params.MOMENT, metavar="TIME", help="Only from then on (10m ago, or a time)."
)
@click.option("--until", type=params.MOMENT, metavar="TIME", help="Only what was printed before.")
@click.option("-t", "--timestamps", is_flag=True, help="Put the time before each line.")
@click.option("--raw", is_flag=True, help="Every byte, on a terminal too.")
@click.argument("ref", type=params.JOB, metavar="JOB")
def command(
    ref: str,
    follow: bool,
    tail: int | None,
    attempt: int | None,
    since: float | None,
    until: float | None,
    timestamps: bool,
    raw: bool,
) -> None:
    """Print a job's output, its stdout on stdout and its stderr on stderr.

    TIME of --since and --until is a time ago (10m, 2h), or a moment: 2026-12-01T02:00 (local time),
    2026-12-01T02:00:00Z.

    Of an array, name one element: 12[3].

    On a terminal, control sequences other than colours are left out; elsewhere every byte is
    passed on.
    """
    stamper = Stamper() if timestamps else None
    cleaner = Cleaner(raw=raw)
    frames = connect().logs(
        ref,
        follow=follow,
        tail=tail,
        attempt=attempt,
        since_ns=round((since or 0) * 1e9),
        until_ns=None if until is None else round(until * 1e9),
    )
    for frame in frames:
        if frame.stream == NOTE:
            terminal.complain(frame.data.decode(errors="replace"))
            continue
        fd = 2 if frame.stream == STDERR else 1
        data = cleaner.clean(fd, frame.data)
        terminal.write(fd, stamper.stamp(frame, data) if stamper else data)


class Stamper:
    """Puts a frame's time before each line that begins in it."""

    def __init__(self) -> None:
        self._inside: dict[int, bool] = {}

    def stamp(self, frame: Frame, data: bytes) -> bytes:
        """Return the frame's data with the times put in."""
        time = stamp(frame.time_ns).encode() + b" "
        out = bytearray()
        for line in re.findall(rb"[^\n]*\n|[^\n]+", data):
            out += line if self._inside.get(frame.stream) else time + line
            self._inside[frame.stream] = not line.endswith(b"\n")
        return bytes(out)


def stamp(time_ns: int) -> str:
    """Return a moment as RFC 3339 with six decimals."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest // 1000:06d}Z"
