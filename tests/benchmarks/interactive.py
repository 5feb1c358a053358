"""Interactive jobs against ``docker run -it``: a key's way there and back, and a flood."""

from __future__ import annotations

import os
import pty
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.setup import Result, Stand
from tests.support.daemon import BUSYBOX

LAUNCH = str(Path(sys.executable).parent / "launch")
KEYS = 200
FLOOD_BYTES = 50_000_000
ROUNDS = 3


def interactive(stand: Stand) -> list[Result]:
    """Both in alternating rounds of one run."""
    docker = ["docker", "-H", stand.sandbox.docker_host, "run", "--rm", "-it", BUSYBOX]
    ours = [LAUNCH, "run", "-q", "-it", "--profile", "1g.6gb", BUSYBOX]
    keys: dict[str, list[float]] = {"ours": [], "theirs": []}
    floods: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for name, command in (("theirs", docker), ("ours", ours)):
            keys[name] += _echoes([*command, "cat"], stand)
            floods[name].append(_flood(command, stand))
    ours_ms, theirs_ms = (1000 * statistics.median(keys[name]) for name in ("ours", "theirs"))
    return [
        Result(
            "keystroke",
            f"from a key to its echo in `launch run -it`, beyond `docker run -it`"
            f" ({theirs_ms:.2f} ms), median of {KEYS * ROUNDS} / 3 ms",
            max(0.0, ours_ms - theirs_ms),
            3.0,
            1.0,
            "ms",
        ),
        Result(
            "flood",
            f"{FLOOD_BYTES // 10**6} MB of output in a terminal / docker run -it of the same",
            statistics.median(floods["ours"]),
            statistics.median(floods["theirs"]),
            1.2,
        ),
    ]


@contextmanager
def _on_terminal(command: Sequence[str], stand: Stand) -> Iterator[int]:
    """Run a command on a new terminal; yields our end of it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *command],
        stdin=theirs, stdout=theirs, stderr=theirs,
        env=stand.daemon.environment | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    try:
        yield ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _echoes(command: Sequence[str], stand: Stand) -> list[float]:
    """Return how long each of many keys takes to be shown, in seconds."""
    taken = []
    with _on_terminal(command, stand) as terminal:
        while not select.select([terminal], [], [], 0.2)[0]:  # until the job's terminal echoes
            os.write(terminal, b".")
        while select.select([terminal], [], [], 0.5)[0]:
            os.read(terminal, 65536)
        for _ in range(KEYS):
            began = time.perf_counter()
            os.write(terminal, b"x")
            assert b"x" in os.read(terminal, 100)
            taken.append(time.perf_counter() - began)
        os.write(terminal, b"\n\x04")
        _read_out(terminal)
    return taken


def _flood(command: Sequence[str], stand: Stand) -> float:
    """Return the seconds from the first byte of a flood of output to its end."""
    script = f"echo go; head -c {FLOOD_BYTES} /dev/zero | tr '\\0' x"
    with _on_terminal([*command, "sh", "-c", script], stand) as terminal:
        size = len(os.read(terminal, 10))
        began = time.perf_counter()
        size += _read_out(terminal)
        taken = time.perf_counter() - began
    assert size >= FLOOD_BYTES, size
    return taken


def _read_out(terminal: int) -> int:
    """Read a terminal until its last writer has closed it; return how many bytes came."""
    size = 0
    while True:
        try:
            data = os.read(terminal, 1 << 20)
        except OSError:  # EIO
            return size
        size += len(data)
