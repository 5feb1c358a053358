"""What a loud job's output costs, and how soon a byte is there."""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from launcher.wire import GpuRequest
from tests.benchmarks.setup import Result, Stand
from tests.support.daemon import BUSYBOX, LAUNCH
from tests.support.wait import wait_until

LINES = 6_000_000
ROUNDS = 2
BYTES = 60
ASKED = 15
PAUSE_SECONDS = 0.05
MEDIAN_SECONDS, WORST_SECONDS = 0.020, 0.200
LOUD = ["sh", "-c", "yes 'a line as loud as can be'"]


def output(stand: Stand) -> list[Result]:
    """Return what is measured of output."""
    return [_throughput(stand), *_live(stand), *_beside_a_loud_job(stand)]


def _throughput(stand: Stand) -> Result:
    """A job of six million lines, against ``docker run`` of the same, both read by a program."""
    job = ["sh", "-c", f"seq 1 {LINES}"]
    docker = ["docker", "-H", stand.sandbox.docker_host, "run", "--rm", BUSYBOX, *job]
    launch = [*LAUNCH, "run", "-q", "--gpus", "none", BUSYBOX, "--", *job]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        their_bytes, seconds = _read(docker, os.environ)
        theirs.append(seconds)
        our_bytes, seconds = _read(launch, stand.daemon.environment)
        ours.append(seconds)
        assert our_bytes == their_bytes
    what = f"a job of {LINES:,} lines / docker run"
    return Result("output", what, statistics.median(ours), statistics.median(theirs), 1.25)


def _read(command: Sequence[str], environment: Mapping[str, str]) -> tuple[str, float]:
    """Run a command; returns a digest of its output, and the seconds."""
    began, digest = time.perf_counter(), hashlib.sha256()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(environment)
    ) as process:
        assert process.stdout is not None
        while data := process.stdout.read(1 << 20):
            digest.update(data)
    assert process.returncode == 0, command
    return digest.hexdigest(), time.perf_counter() - began


def _live(stand: Stand) -> list[Result]:
    """From a job's write of one byte, without a newline, to ``launch run``."""
    pipes = stand.place / "pipes"
    pipes.mkdir()
    os.mkfifo(pipes / "in")
    words = ["run", "-q", "--gpus", "none", "-v", f"{pipes}:/pipes", BUSYBOX, "--", "cat"]
    command = [*LAUNCH, *words, "/pipes/in"]
    took = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=stand.daemon.environment, bufsize=0
    ) as process:
        assert process.stdout is not None
        with (pipes / "in").open("wb", buffering=0) as pipe:
            for _ in range(BYTES):
                time.sleep(PAUSE_SECONDS)
                began = time.perf_counter()
                pipe.write(b"x")
                assert process.stdout.read(1) == b"x"
                took.append(time.perf_counter() - began)
    what = "from a job's write of a byte to launch run"
    return [
        Result("live", f"{what}, median", statistics.median(took), MEDIAN_SECONDS, 1.0),
        Result("live", f"{what}, worst of {BYTES}", max(took), WORST_SECONDS, 1.0),
    ]


def _beside_a_loud_job(stand: Stand) -> list[Result]:
    """Others' requests beside a job as loud as it can be, against the same without it."""
    daemon = stand.daemon
    held = stand.place / "held.yaml"
    held.write_text(f'image: {BUSYBOX}\ncommand: ["true"]\nschedule: {{hold: true}}\n')
    asked: dict[str, Callable[[], subprocess.CompletedProcess[str]]] = {
        "ps": lambda: daemon.cli("ps"),
        "submit": lambda: daemon.cli("submit", str(held)),
        "run": lambda: daemon.cli("run", "-q", "--gpus", "none", BUSYBOX, "--", "true"),
    }
    quiet = {name: _median(ask) for name, ask in asked.items()}
    job = daemon.submit(*LOUD, gpus=GpuRequest(kind="none"))
    wait_until(lambda: daemon.state_of(job) == "RUNNING")
    loud = {name: _median(ask) for name, ask in asked.items()}
    daemon.client.cancel(job.id, now=True)
    daemon.done(job)
    return [
        Result("loud", f"{name} beside a job as loud as can be / without it", loud[name],
               quiet[name], 1.5)
        for name in asked
    ]  # fmt: skip


def _median(ask: Callable[[], subprocess.CompletedProcess[str]]) -> float:
    took = []
    for _ in range(ASKED):
        began = time.perf_counter()
        done = ask()
        assert done.returncode == 0, done.stderr
        took.append(time.perf_counter() - began)
    return statistics.median(took)
