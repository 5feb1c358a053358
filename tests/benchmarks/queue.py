"""A long queue: what it costs to look at, to decide on, to keep in memory, and to start with."""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from launcher.fakegpu import Machine
from launcher.wire import ArrayRequest, GpuRequest, JobSpec
from tests.benchmarks.setup import Result, Stand
from tests.support.daemon import DaemonProcess

JOBS = 100_000
PROFILES = ("1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb")
BATCH = 5000
BURST = 10_000
BURSTS = 3
RUNS = 9
NOWHERE = "unix:///nonexistent/docker.sock"


def burst(stand: Stand) -> Result:
    """An array of 10,000 jobs: submitted, and safe on the disk."""
    machine = Machine.create(stand.place / "burst-machine", "A100-40GB:1g.5gb*7")
    daemon = DaemonProcess(NOWHERE, machine, stand.place / "burst-state", config="").start()
    taken = []
    try:
        for _ in range(BURSTS):
            array = ArrayRequest(indices=list(range(BURST)), max_parallel=7)
            request = dataclasses.replace(_requests(1)[0], array=array)
            began = time.perf_counter()
            daemon.client.submit([request])
            taken.append(time.perf_counter() - began)
    finally:
        daemon.close()
    return Result(
        "burst", "an array of 10,000 jobs, submitted / 2 s", statistics.median(taken), 2.0, 1.0
    )


def lag(stand: Stand) -> Result:
    """The longest turn of the event loop while 100,000 jobs are submitted and listed."""
    machine = Machine.create(stand.place / "lag-machine", "A100-40GB:1g.5gb*7")
    daemon = DaemonProcess(NOWHERE, machine, stand.place / "lag-state", config="").start()
    daemon.client.timeout = 120
    try:
        array = ArrayRequest(indices=list(range(JOBS)))
        daemon.client.submit([dataclasses.replace(_requests(1)[0], array=array)])
        longest = daemon.client.status().loop_step
        daemon.client.jobs()
        longest = max(longest, daemon.client.status().loop_step)
    finally:
        daemon.close()
    what = f"the daemon's longest step while {JOBS} jobs are submitted and listed / 50 ms"
    return Result("lag", what, longest, 0.05, 1.0)


def _requests(count: int) -> list[JobSpec]:
    return [
        JobSpec(
            name=f"job-{i % 50}",
            image="busybox",
            command=("true",),
            priority=i % 50,
            gpus=GpuRequest(kind="profile", profile=PROFILES[i % len(PROFILES)]),
        )
        for i in range(count)
    ]


def queue(stand: Stand) -> list[Result]:
    """A daemon with 100,000 jobs queued, its Docker away."""
    machine = Machine.create(stand.place / "queue-machine", "A100-40GB:1g.5gb*7")
    daemon = DaemonProcess(NOWHERE, machine, stand.place / "queue-state", config="").start()
    try:
        daemon.client.timeout = 120
        for _ in range(JOBS // BATCH):
            daemon.client.submit(_requests(BATCH))
        command = str(Path(sys.executable).parent / "launch")
        ours = [_timed([command, "ps"], daemon) for _ in range(RUNS)]
        theirs = [_timed([sys.executable, "-c", "import click"], daemon) for _ in range(RUNS)]
        scraped = [_called(daemon.client.metrics) for _ in range(RUNS)]
        weight = _rss_mib(daemon)
        daemon.stop()
        began = time.perf_counter()
        daemon.start()
        again = time.perf_counter() - began
    finally:
        daemon.close()
    median = statistics.median
    what = "with 100,000 jobs queued"
    return [
        Result("ps", f"launch ps {what} / python -c 'import click'", median(ours),
               median(theirs), 2.5),
        Result("metrics", f"GET /v1/metrics {what} / 20 ms", median(scraped), 0.02, 1.0),
        Result("weight", f"the daemon {what} / 300 MiB", weight, 300.0, 1.0, "MiB"),
        Result("restart", f"a restart {what} / 3 s", again, 3.0, 1.0),
    ]  # fmt: skip


def _called(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _timed(command: list[str], daemon: DaemonProcess) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=daemon.environment, check=True, capture_output=True)
    return time.perf_counter() - began


def _rss_mib(daemon: DaemonProcess) -> float:
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    line = next(row for row in status.splitlines() if row.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
