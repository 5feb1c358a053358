"""Jobs that end as slowly as they may: nothing else of the daemon waits for them."""

from __future__ import annotations

import pwd
import time

import pytest

from launcher.errors import NotAllowed
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import GpuRequest, JobSpec, JobView, SelectRequest
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user
from tests.support.proxy import FaultyDocker, Rule

ALICE = pwd.getpwnam("games").pw_uid
BOB = pwd.getpwnam("news").pw_uid
STUBBORN = "trap '' TERM; while true; do sleep 0.1; done"
GRACE_SECONDS = 300.0


def stubborn(daemon: DaemonProcess, **fields: float) -> JobView:
    """Start a job of ALICE that ignores its stop signal for as long as it may."""
    request = JobSpec(
        name="stubborn",
        image=BUSYBOX,
        command=("sh", "-c", STUBBORN),
        gpus=GpuRequest(kind="none"),
        **{"stop_grace_period": GRACE_SECONDS} | fields,  # type: ignore[arg-type]
    )
    with as_user(ALICE):
        (job,) = daemon.client.submit([request])
    daemon.until(job, "RUNNING")
    return job


def test_a_grace_period_of_a_day_is_refused(daemon: DaemonProcess) -> None:
    with pytest.raises(NotAllowed, match="stop_grace_period: 86400 s is above 300 s"):
        stubborn(daemon, stop_grace_period=86400.0)


def test_root_ends_a_job_that_ignores_its_stop_signal_at_once(daemon: DaemonProcess) -> None:
    job = stubborn(daemon)
    since = time.monotonic()
    daemon.client.cancel(job.id)
    ended = daemon.done(job)
    assert (ended.outcome, ended.exit_code) == ("CANCELLED", 137)
    assert time.monotonic() - since < 5.0


def test_jobs_in_their_grace_period_keep_no_time_limit_waiting_and_end_by_a_second_cancel(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon(config='cpu_slots = 8\n[policy]\nimages = ["*"]\n').start()
    jobs = [stubborn(daemon) for _ in range(4)]
    with as_user(ALICE):
        for job in jobs:
            daemon.client.cancel(job.id)
    with as_user(BOB):
        other = daemon.submit("sleep", "60", gpus=GpuRequest(kind="none"), time_limit=1.0)
    daemon.until(other, "RUNNING")
    since = time.monotonic()
    ended = daemon.done(other)
    assert (ended.outcome, ended.exit_code) == ("TIMEOUT", 143)
    assert time.monotonic() - since < 5.0
    with as_user(ALICE):
        for _ in range(50):
            daemon.client.cancel_all(SelectRequest(user="me"))
    for job in jobs:
        assert daemon.done(job).outcome == "CANCELLED"


def test_signals_that_docker_does_not_answer_keep_no_time_limit_of_their_user_waiting(
    make_daemon: MakeDaemon, sandbox: Sandbox
) -> None:
    with FaultyDocker(sandbox.docker_host) as proxy:
        daemon = make_daemon(docker_host=proxy.docker_host).start()
        job = stubborn(daemon, time_limit=8.0, stop_grace_period=1.0)
        proxy.rules.append(Rule("/kill.*signal=SIGUSR1", "hang", times=100))
        with as_user(ALICE):
            for _ in range(30):
                daemon.client.signal(job.id, "SIGUSR1")
        since = time.monotonic()
        ended = daemon.done(job)
        assert (ended.outcome, ended.exit_code) == ("TIMEOUT", 137)
        assert time.monotonic() - since < 20.0
