"""A long queue: what it costs to look at, to decide on, to keep in memory, and to start with."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from launcher.core import event as ev
from launcher.core.job import Need, NeedKind
from launcher.fakegpu import Machine
from launcher.wire import GpuRequest, JobRequest
from tests.benchmarks.setup import Result, Stand
from tests.support import builders
from tests.support.daemon import DaemonProcess

JOBS = 100_000
PROFILES = ("1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb")
BATCH = 5000
RUNS = 9
NOWHERE = "unix:///nonexistent/docker.sock"


def _requests(count: int) -> list[JobRequest]:
    return [
        JobRequest(
            name=f"job-{i % 50}",
            image="busybox",
            command=["true"],
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
        Result("weight", f"the daemon {what} / 300 MiB", weight, 300.0, 1.0, "MiB"),
        Result("restart", f"a restart {what} / 3 s", again, 3.0, 1.0),
    ]  # fmt: skip


def _timed(command: list[str], daemon: DaemonProcess) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=daemon.environment, check=True, capture_output=True)
    return time.perf_counter() - began


def _rss_mib(daemon: DaemonProcess) -> float:
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    line = next(row for row in status.splitlines() if row.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def depth() -> Result:
    """One job ends and the next starts: with 100,000 queued, against 100."""
    return Result(
        "depth",
        "an end and the start after it, 100,000 jobs queued / 100 queued",
        _decision(JOBS),
        _decision(100),
        2.0,
    )


def _decision(queued: int) -> float:
    machine = builders.Machine()
    world, now = machine.world, machine.time
    need = Need(NeedKind.PROFILE, profile="1g.6gb")
    jobs = machine.submit(*[need] * queued, pinned=False)
    builders.handle(world, ev.ImageResolved(builders.IMAGE, "sha256:1"), now)
    builders.serve(world, now)
    taken = []
    for job in jobs[:60]:
        began = time.perf_counter()
        at = "2026-01-01T00:00:00.000000Z"
        builders.handle(world, ev.AttemptStarted(job.id, 1, "c", at), now)
        builders.handle(world, ev.AttemptEnded(job.id, 1, 0, False, at, at, job.slices), now)
        builders.serve(world, now)
        taken.append(time.perf_counter() - began)
        world.take_changes()
    return statistics.median(taken)
