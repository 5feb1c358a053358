"""What jobs used of the machine, by the kernel's own totals, while they run and afterwards."""

from __future__ import annotations

from launcher.wire import AttemptView, GpuRequest, JobView
from tests.support.daemon import DaemonProcess
from tests.support.wait import wait_until

MIB = 1 << 20
CPU = GpuRequest(kind="none")
WORK = "x=$(head -c 40000000 /dev/zero | tr '\\0' x); echo ${#x}"
"""Takes 40 MB of memory, and some time of a core."""


def used(daemon: DaemonProcess, job: JobView) -> AttemptView:
    return daemon.client.show(job.id).attempts[-1]


def test_a_container_that_has_ended_shows_its_memory_its_cpu_time_and_its_traffic(
    daemon: DaemonProcess,
) -> None:
    job = daemon.done(daemon.submit("sh", "-c", f"sleep 0.5; {WORK}", gpus=CPU))
    attempt = used(daemon, job)
    assert attempt.memory_peak_bytes is not None
    assert 40 * MIB < attempt.memory_peak_bytes < 400 * MIB
    assert attempt.cpu_seconds is not None
    assert 0 < attempt.cpu_seconds < 60
    assert attempt.read_bytes is not None
    assert attempt.written_bytes is not None
    assert attempt.gpu_memory_peak_mib is None, "it had no slice"


def test_a_running_container_shows_what_it_has_used_so_far(daemon: DaemonProcess) -> None:
    job = daemon.until(daemon.submit("sh", "-c", f"{WORK}; sleep 1000", gpus=CPU), "RUNNING")
    wait_until(lambda: (used(daemon, job).memory_peak_bytes or 0) > 40 * MIB)
    assert used(daemon, job).cpu_seconds is not None
    daemon.client.cancel(job.id)
    daemon.done(job)
    assert (used(daemon, job).memory_peak_bytes or 0) > 40 * MIB


def test_a_restart_of_the_daemon_loses_no_total_of_the_kernel(
    daemon: DaemonProcess,
) -> None:
    job = daemon.until(daemon.submit("sh", "-c", f"{WORK}; sleep 1000", gpus=CPU), "RUNNING")
    wait_until(lambda: (used(daemon, job).memory_peak_bytes or 0) > 40 * MIB)
    daemon.kill()
    daemon.start()
    wait_until(lambda: (used(daemon, job).memory_peak_bytes or 0) > 40 * MIB)
    daemon.client.cancel(job.id)
    daemon.done(job)
    assert (used(daemon, job).memory_peak_bytes or 0) > 40 * MIB


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
