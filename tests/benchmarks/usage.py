"""``launch usage`` over a million attempts that have ended."""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import subprocess
import time
from pathlib import Path

from launcher.fakegpu import Machine
from launcher.store.accounting import BY
from launcher.store.connect import FILE_NAME
from launcher.wire import JobSpec
from tests.benchmarks.setup import ONE, Result, Stand
from tests.support.daemon import BUSYBOX, LAUNCH, DaemonProcess
from tests.support.ended import copy_job
from tests.support.wait import wait_until

ATTEMPTS = 1_000_000
SECONDS_APART = 170 * 86400 / ATTEMPTS
"""All of them are younger than what ``[history]`` keeps."""
USERS, NAMES, IMAGES = 50, 2000, 300
RUNS = 3


def usage(stand: Stand) -> list[Result]:
    """Each grouping of a period in which all of them ended, asked for by an admin."""
    machine = Machine.create(stand.place / "usage-machine", "A30:1g.6gb*4")
    state = stand.place / "usage-state"
    daemon = DaemonProcess(stand.sandbox.docker_host, machine, state, config="")
    try:
        daemon.start()
        (job,) = daemon.client.submit([JobSpec(name="train", image=BUSYBOX, gpus=ONE)])
        wait_until(lambda: daemon.client.show(str(job.id)).job.state == "DONE", timeout=60)
        daemon.stop()
        copy_job(state / FILE_NAME, job.id, ATTEMPTS - 1, SECONDS_APART)
        _spread(state / FILE_NAME)
        daemon.start()
        taken = {by: _timed(daemon, by) for by in BY}
    finally:
        daemon.close()
    return [
        Result("usage", f"launch usage --by {by} over {ATTEMPTS} attempts / 3 s", taken[by], 3.0, 1)
        for by in BY
    ]


def _spread(database: Path) -> None:
    """Give the jobs many users, names and images, in turn; every tenth has failed."""
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.execute(
            f"UPDATE jobs SET uid = 1000 + id % {USERS}, user = 'u' || (id % {USERS}), "
            f"name = 'n' || (id % {NAMES}), image = 'i' || (id % {IMAGES}), "
            "outcome = iif(id % 10, 'COMPLETED', 'FAILED')"
        )
        db.execute("UPDATE attempts SET granted_at = granted_at + job % 977")
        db.execute(
            "UPDATE leases SET granted_at = granted_at + job % 977, "
            "released_at = released_at + job % 977"
        )


def _timed(daemon: DaemonProcess, by: str) -> float:
    command = [*LAUNCH, "usage", "--since", "300d", "--by", by]
    taken = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, env=daemon.environment, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
