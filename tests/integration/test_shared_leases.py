"""Leases on shared memory that an older version granted for a request of memory."""

from __future__ import annotations

import sqlite3

import pytest

from launcher.fakegpu.sandbox import Sandbox
from launcher.store.connect import FILE_NAME
from launcher.wire import GpuRequest
from tests.conftest import MakeDaemon
from tests.support.daemon import DaemonProcess
from tests.support.wait import wait_until

PART = GpuRequest(kind="profile", profile="1c.2g.12gb")


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> DaemonProcess:
    return make_daemon("A30:1c.2g.12gb*2")


def granted_for_memory(daemon: DaemonProcess, job: int) -> None:
    """Put on record that a job asked for memory, as older versions granted it shared memory."""
    with sqlite3.connect(daemon.state / FILE_NAME) as hand:
        asked = '{"kind": "memory", "count": 1, "memory_gb": 12}'
        hand.execute("UPDATE jobs SET need = ? WHERE id = ?", (asked, job))
    hand.close()


def test_i15_a_start_that_was_cut_off_is_not_made_on_shared_memory(
    daemon: DaemonProcess, sandbox: Sandbox
) -> None:
    daemon.extra["LAUNCHER_CRASH_AT"] = "create:before"
    daemon.start()
    job = daemon.submit("true", gpus=PART)
    assert daemon.process is not None
    wait_until(lambda: daemon.process.poll() is not None, what="it ends before the container is")
    granted_for_memory(daemon, job.id)
    before = len(sandbox.hook.starts())
    del daemon.extra["LAUNCHER_CRASH_AT"]
    daemon.start()
    wait_until(lambda: daemon.state_of(job) == "PENDING", what="it gives the slice back")
    blocker = daemon.blocker_of(job)
    assert "2 x 1c.2g.12gb share the memory" in blocker.have
    assert {s.state for s in daemon.client.slices()} == {"free"}
    assert len(sandbox.hook.starts()) == before
    daemon.client.cancel(str(job.id))


def test_i15_a_job_that_runs_on_shared_memory_goes_on_over_the_upgrade(
    daemon: DaemonProcess,
) -> None:
    daemon.start()
    script = "trap 'exit 7' USR1; while :; do sleep 0.1; done"
    job = daemon.until(daemon.submit("sh", "-c", script, gpus=PART), "RUNNING")
    daemon.kill()
    granted_for_memory(daemon, job.id)
    daemon.start()
    assert daemon.state_of(job) == "RUNNING"
    second = daemon.submit("true", gpus=PART)
    assert daemon.done(second).outcome == "COMPLETED"
    daemon.client.signal(job.id, "SIGUSR1")
    assert daemon.done(job).exit_code == 7
