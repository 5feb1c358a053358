"""``launch logs``: a job's output."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from launcher.cli import terminal
from launcher.cli.common import connect
from launcher.wire import NOTE, STDERR, Frame


@click.command("logs", short_help="Print a job's output.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="An earlier attempt's.")
@click.option("-t", "--timestamps", is_flag=True, help="Put the time before each line.")
@click.argument("ref", metavar="JOB")
def command(
    ref: str, follow: bool, tail: int | None, attempt: int | None, timestamps: bool
) -> None:
    """Print a job's output, its stdout on stdout and its stderr on stderr."""
    stamper = Stamper() if timestamps else None
    for frame in connect().logs(ref, follow=follow, tail=tail, attempt=attempt):
        if frame.stream == NOTE:
            terminal.complain(frame.data.decode(errors="replace"))
            continue
        data = stamper.stamp(frame) if stamper else frame.data
        terminal.write(2 if frame.stream == STDERR else 1, data)


class Stamper:
    """Puts a frame's time before each line that begins in it."""

    def __init__(self) -> None:
        self._inside: dict[int, bool] = {}

    def stamp(self, frame: Frame) -> bytes:
        """Return the frame's bytes with the times put in."""
        time = stamp(frame.time_ns).encode() + b" "
        lines = frame.data.splitlines(keepends=True)
        out = bytearray()
        for line in lines:
            out += line if self._inside.get(frame.stream) else time + line
            self._inside[frame.stream] = not line.endswith((b"\n", b"\r"))
        return bytes(out)


def stamp(time_ns: int) -> str:
    """Return a moment as RFC 3339 with six decimals."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest // 1000:06d}Z"
