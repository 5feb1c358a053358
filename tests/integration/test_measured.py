"""What jobs used of the machine, by the kernel's own totals, while they run and afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.errors import LauncherError, NotAllowed
from launcher.wire import AttemptView, EditRequest, GpuRequest, JobView
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user
from tests.support.wait import wait_until

NOBODY = 65534
TAKEN = 40_000_000
CPU = GpuRequest(kind="none")
WORK = f"x=$(head -c {TAKEN} /dev/zero | tr '\\0' x); echo ${{#x}}"
"""Takes 40 MB of memory, and some time of a core."""


def used(daemon: DaemonProcess, job: JobView) -> AttemptView:
    return daemon.client.show(job.id).attempts[-1]


def test_a_container_that_has_ended_shows_its_memory_its_cpu_time_and_its_traffic(
    daemon: DaemonProcess,
) -> None:
    script = f"trap 'exit 0' USR1; {WORK}; while :; do sleep 0.1; done"
    job = daemon.until(daemon.submit("sh", "-c", script, gpus=CPU), "RUNNING")
    wait_until(lambda: (used(daemon, job).memory_peak_bytes or 0) > TAKEN)
    daemon.client.signal(job.id, "SIGUSR1")
    assert daemon.done(job).outcome == "COMPLETED"
    attempt = used(daemon, job)
    assert attempt.memory_peak_bytes is not None
    assert TAKEN < attempt.memory_peak_bytes < 10 * TAKEN
    assert attempt.cpu_seconds is not None
    assert 0 < attempt.cpu_seconds < 60
    assert attempt.read_bytes is not None
    assert attempt.written_bytes is not None
    assert attempt.gpu_memory_peak_mib is None, "it had no slice"


def test_a_running_container_shows_what_it_has_used_so_far(daemon: DaemonProcess) -> None:
    job = daemon.until(daemon.submit("sh", "-c", f"{WORK}; sleep 1000", gpus=CPU), "RUNNING")
    wait_until(lambda: (used(daemon, job).memory_peak_bytes or 0) > TAKEN)
    assert used(daemon, job).cpu_seconds is not None
    daemon.client.cancel(job.id)
    daemon.done(job)
    assert (used(daemon, job).memory_peak_bytes or 0) > TAKEN


def test_a_restart_of_the_daemon_loses_no_total_of_the_kernel(
    daemon: DaemonProcess,
) -> None:
    job = daemon.until(daemon.submit("sh", "-c", f"{WORK}; sleep 1000", gpus=CPU), "RUNNING")
    wait_until(lambda: (used(daemon, job).memory_peak_bytes or 0) > TAKEN)
    daemon.kill()
    daemon.start()
    wait_until(lambda: (used(daemon, job).memory_peak_bytes or 0) > TAKEN)
    daemon.client.cancel(job.id)
    daemon.done(job)
    assert (used(daemon, job).memory_peak_bytes or 0) > TAKEN


def test_the_gpu_memory_of_a_job_is_its_highest_sample(daemon: DaemonProcess) -> None:
    job = daemon.until(daemon.submit("sleep", "1000"), "RUNNING")
    (uuid,) = job.slices
    for pid, mib in (1, 700), (2, 200):
        daemon.machine.add_process(uuid, pid, mib)
        wait_until(lambda: (used(daemon, job).gpu_memory_peak_mib or 0) >= 700)
        daemon.machine.remove_process(pid)
    daemon.client.cancel(job.id)
    daemon.done(job)
    attempt = used(daemon, job)
    assert attempt.gpu_memory_peak_mib is not None
    assert 700 <= attempt.gpu_memory_peak_mib < 900
    assert attempt.gpu_memory_mib == 5952


def on_slice(daemon: DaemonProcess, seconds: float, mib: int, **fields: Any) -> JobView:
    """Run a job whose process takes so much memory of its slice; returns it as it ended."""
    words = ("sh", "-c", f"sleep {seconds}")
    job = daemon.until(daemon.submit(*words, **fields), "RUNNING")
    daemon.machine.add_process(job.slices[0], 1, mib)
    wait_until(lambda: (used(daemon, job).gpu_memory_peak_mib or 0) >= mib)
    daemon.machine.remove_process(1)
    return daemon.done(job)


def test_a_job_that_used_little_of_its_slice_is_advised_a_smaller_one_and_gets_it(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon("A30:1g.6gb*2,A30:2g.12gb").start()
    large = GpuRequest(kind="profile", profile="2g.12gb")
    ended = on_slice(daemon, 4, 3000, gpus=large, name="train", time_limit=86400.0)
    assert ended.outcome == "COMPLETED"
    smaller, shorter = daemon.client.queue.advice()
    assert (smaller.kind, smaller.suggested_profile, smaller.jobs) == ("smaller-slice", "1g.6gb", 1)
    assert (smaller.profile, smaller.gpu_memory_mib) == ("2g.12gb", 11968)
    assert (smaller.gpu_memory_peak_mib or 0) >= 3000
    assert (shorter.kind, shorter.time_limit) == ("shorter-limit", 86400.0)
    assert daemon.client.show(ended.id).advice == [smaller, shorter]
    shown = daemon.cli("show", str(ended.id)).stdout
    assert "advice: peaked at 2.9 of 11.7 GiB of GPU memory in 1 job: 1g.6gb would do" in shown
    assert "1g.6gb would do" in daemon.cli("advice", "--user", "me").stdout

    words = ("run", "-d", "--gpu-memory", "auto", "--name", "train", BUSYBOX, "sleep", "1000")
    told = daemon.cli(*words)
    assert "train gets 3556 MiB of GPU memory: 1 earlier job used up to 3000" in told.stderr
    again = daemon.client.show(int(told.stdout.split()[-1]))
    assert again.spec is not None
    assert (again.spec.gpus.memory_mib, again.spec.gpus.memory_auto) == (3556, True)
    assert daemon.until(again.job, "RUNNING").profile == "1g.6gb"
    assert "3556 MiB, chosen from what earlier jobs used" in daemon.cli("show", "last").stdout


def test_memory_auto_without_an_earlier_job_says_what_to_write(daemon: DaemonProcess) -> None:
    told = daemon.cli("run", "-d", "--gpu-memory", "auto", "--name", "new", BUSYBOX, "true")
    assert told.returncode != 0
    assert "no completed job of yours named 'new' was measured" in told.stderr
    assert "--gpu-memory 10g" in told.stderr
    assert daemon.client.jobs() == []


def test_a_waiting_job_says_which_memory_was_chosen_for_it(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("A30:1g.6gb").start()
    assert on_slice(daemon, 4, 1000, name="train").outcome == "COMPLETED"
    daemon.until(daemon.submit("sleep", "1000"), "RUNNING")
    auto = GpuRequest(kind="memory", memory_auto=True)
    waiting = daemon.submit("true", gpus=auto, name="train")
    assert daemon.client.queue.why(waiting.id).gpu_memory_auto_mib == 1356
    assert "GPU memory: 1356 MiB, chosen" in daemon.cli("why", str(waiting.id)).stdout


def test_a_queued_job_is_not_edited_to_memory_auto(daemon: DaemonProcess) -> None:
    job = daemon.submit("true", hold=True)
    auto = GpuRequest(kind="memory", memory_auto=True)
    with pytest.raises(LauncherError, match="chosen when a job is submitted"):
        daemon.client.edit(job.id, EditRequest(gpus=auto))


def test_a_user_sees_no_advice_on_the_jobs_of_others(daemon: DaemonProcess) -> None:
    daemon.done(daemon.submit("true", gpus=CPU, time_limit=86400.0))
    assert [each.user for each in daemon.client.queue.advice()] == ["root"]
    with as_user(NOBODY):
        assert daemon.client.queue.advice() == daemon.client.queue.advice("me") == []
        with pytest.raises(NotAllowed, match="only an admin"):
            daemon.client.queue.advice("root")
