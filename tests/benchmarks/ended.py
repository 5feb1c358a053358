"""A million jobs that ended: what they cost on the disk, at a start, and in daily questions."""

from __future__ import annotations

import statistics
import subprocess
import time

from launcher.fakegpu import Machine
from launcher.store.connect import FILE_NAME
from launcher.wire import JobSpec
from tests.benchmarks.setup import ONE, Result, Stand
from tests.support.daemon import BUSYBOX, LAUNCH, DaemonProcess
from tests.support.ended import copy_job
from tests.support.wait import wait_until

ENDED = 1_000_000
RUNS = 9
SECONDS_APART = 170 * 86400 / ENDED
"""All of them are younger than what ``[history]`` keeps."""


def ended(stand: Stand) -> list[Result]:
    """A daemon with a million ended jobs against itself with one."""
    machine = Machine.create(stand.place / "ended-machine", "A30:1g.6gb*4")
    state = stand.place / "ended-state"
    daemon = DaemonProcess(stand.sandbox.docker_host, machine, state, config="")
    try:
        daemon.start()
        (job,) = daemon.client.submit([JobSpec(name="train", image=BUSYBOX, gpus=ONE)])
        wait_until(lambda: daemon.client.show(str(job.id)).job.state == "DONE", timeout=60)
        few = {verb: _timed(daemon, verb, str(job.id)) for verb in VERBS}
        daemon.stop()
        copy_job(state / FILE_NAME, job.id, ENDED, SECONDS_APART)
        size = (state / FILE_NAME).stat().st_size / ENDED
        many_start = _start(daemon)
        many = {verb: _timed(daemon, verb, str(job.id + ENDED // 2)) for verb in VERBS}
        pruned = _pruned(daemon)
    finally:
        daemon.close()
    what = f"with {ENDED} ended jobs"
    return [
        Result("size", f"the database {what}, bytes a job / 1.5 KiB", size, 1536.0, 1.0, "B"),
        Result("start", f"from a start to scheduling {what} / 3 s", many_start, 3.0, 1.0),
        *(Result(v, f"launch {v} {what} / with one", many[v], few[v], 1.2) for v in VERBS),
        Result("prune", "a submit while old jobs are deleted / without", *pruned, 5.0),
    ]


VERBS = ("ps", "show", "status")


def _start(daemon: DaemonProcess) -> float:
    daemon.stop()
    began = time.perf_counter()
    daemon.start()  # returns once it schedules
    return time.perf_counter() - began


def _timed(daemon: DaemonProcess, verb: str, job: str) -> float:
    command = [*LAUNCH, verb, *([job] if verb == "show" else [])]
    taken = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, env=daemon.environment, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _pruned(daemon: DaemonProcess) -> tuple[float, float]:
    """Return the median seconds of a submit while jobs are deleted, and without."""
    quiet = [_submit(daemon) for _ in range(RUNS)]
    script = f"from launcher import Client; Client({str(daemon.socket)!r}).prune(older_than=86400)"
    pruning = subprocess.Popen([LAUNCH[0], "-c", script])
    try:
        busy = [_submit(daemon) for _ in range(5 * RUNS)]
    finally:
        pruning.terminate()
        pruning.wait()
    return statistics.median(busy), statistics.median(quiet)


def _submit(daemon: DaemonProcess) -> float:
    began = time.perf_counter()
    daemon.client.submit([JobSpec(name="held", image=BUSYBOX, gpus=ONE, hold=True)])
    return time.perf_counter() - began
