"""Random bytes, sizes, pauses and streams, with kills meanwhile: every byte arrives once."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from launcher.wire import NOTE, STDERR, STDOUT, GpuRequest, JobView
from tests.support.daemon import DaemonProcess
from tests.support.keepers import keeper_of
from tests.support.wait import wait_until
from tests.support.whole import many

JOBS = 6
PIECES = 12
KILL_SECONDS = 0.7
NONE = GpuRequest(kind="none")


class Printed:
    """What a job is to print: its command, and the bytes of each stream."""

    def __init__(self, rng: random.Random) -> None:
        self.bytes = {STDOUT: b"", STDERR: b""}
        steps = [self._step(rng) for _ in range(PIECES)]
        # Docker 20.10 does not tell whether a last line of over 16 KiB ended with a newline.
        steps.append("echo; echo end; echo >&2; echo end >&2")
        self.bytes = {stream: data + b"\nend\n" for stream, data in self.bytes.items()}
        self.command = ["sh", "-c", "\n".join(steps)]

    def _step(self, rng: random.Random) -> str:
        stream = rng.choice([STDOUT, STDERR])
        match rng.randrange(4):
            case 0:  # any bytes, with or without a newline
                data = rng.randbytes(rng.randrange(1, 200)) + rng.choice([b"", b"\n"])
                step = "printf '" + "".join(f"\\{byte:03o}" for byte in data) + "'"
            case 1:  # one line far longer than Docker's buffer
                count = rng.randrange(1, 200_000)
                data, step = b"\0" * count, f"head -c {count} /dev/zero"
            case 2:  # many short lines
                last = rng.randrange(1, 30_000)
                data = b"".join(b"%d\n" % number for number in range(1, last + 1))
                step = f"seq 1 {last}"
            case _:  # a progress bar
                data, step = b"\r10%\r20%", "printf '\\r10%%\\r20%%'"
        self.bytes[stream] += data
        pause = f"sleep {rng.choice(['0', '0.05', '0.3'])}"
        return f"{step}{' >&2' if stream == STDERR else ''}; {pause}"


@pytest.mark.parametrize("seed", range(1, 1 + many(1, 6)))
def test_what_random_jobs_print_is_in_their_logs_over_kills(
    daemon: DaemonProcess, seed: int
) -> None:
    rng = random.Random(seed)
    printed = [Printed(rng) for _ in range(JOBS)]
    jobs = [daemon.submit(*each.command, gpus=NONE) for each in printed]
    for victim in ("daemon", "keeper", "daemon"):
        then = time.monotonic() + rng.uniform(0, KILL_SECONDS)
        wait_until(lambda then=then: time.monotonic() > then)
        if victim == "keeper":
            os.kill(keeper_of(daemon), signal.SIGKILL)
        else:
            daemon.kill()
            daemon.start()
    for job, each in zip(jobs, printed, strict=True):
        assert daemon.done(job, timeout=60).outcome == "COMPLETED"
        assert found(daemon, job) == each.bytes | {NOTE: b""}, (seed, job.id, daemon.tail())


def found(daemon: DaemonProcess, job: JobView) -> dict[int, bytes]:
    """Return what the log of a job has, by stream."""
    bytes_of = {STDOUT: b"", STDERR: b"", NOTE: b""}
    for frame in daemon.client.logs(job.id, follow=True):
        bytes_of[frame.stream] += frame.data
    return bytes_of
