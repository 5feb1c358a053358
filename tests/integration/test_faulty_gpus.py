"""A daemon on a machine whose GPUs misbehave: what is well goes on, and everybody is told."""

from __future__ import annotations

import pytest

from launcher.wire import GpuRequest, SliceView
from tests.conftest import MakeDaemon
from tests.support.daemon import CONFIG, DaemonProcess
from tests.support.wait import wait_until

IMPATIENT = CONFIG.replace("inventory_seconds = 1.0", "inventory_seconds = 0.3\nnvml_seconds = 0.5")


@pytest.fixture
def two_gpus(make_daemon: MakeDaemon) -> DaemonProcess:
    return make_daemon("A30:1g.6gb*2,A30:2g.12gb", config=IMPATIENT).start()


def on(daemon: DaemonProcess, uuid: str) -> SliceView:
    return next(s for s in daemon.client.slices() if s.uuid == uuid)


def problems(daemon: DaemonProcess) -> str:
    return "; ".join(daemon.client.status().problems)


def test_a_gpu_that_hangs_holds_up_neither_ends_nor_other_gpus_and_heals(
    two_gpus: DaemonProcess,
) -> None:
    daemon, machine = two_gpus, two_gpus.machine
    silent, _ = machine.gpu_uuids()
    job = daemon.until(daemon.submit("sh", "-c", "sleep 2; exit 3"), "RUNNING")
    machine.hang_gpu(silent)
    wait_until(lambda: "NVML does not answer for GPU 0" in problems(daemon), what="status says so")
    assert daemon.client.status().state == "degraded"
    waiting = daemon.submit("true")
    other = daemon.submit("true", gpus=GpuRequest(kind="profile", profile="2g.12gb"))
    assert daemon.done(other).outcome == "COMPLETED", "the other GPU goes on"
    assert daemon.done(job).exit_code == 3, "the end is not held up"
    (blocker,) = daemon.client.show(str(waiting.id)).blockers
    assert blocker.kind == "GpuUnavailable"
    shown = on(daemon, job.slices[0])
    assert shown.state == "releasing"
    free = next(s for s in daemon.client.slices() if s.gpu_index == 0 and s.uuid != shown.uuid)
    assert free.state == "silent"
    assert "NVML does not answer for GPU 0 since" in (free.why or "")
    listed = {check.message for check in daemon.client.doctor() if check.state == "problem"}
    assert any("NVML does not answer for GPU 0" in message for message in listed)
    machine.hang_gpu(silent, hangs=False)
    assert daemon.done(waiting).outcome == "COMPLETED"
    wait_until(lambda: on(daemon, shown.uuid).state == "free", what="the slice is proven free")
    wait_until(lambda: "NVML" not in problems(daemon), what="status is well again")


def test_a_daemon_that_starts_while_nvml_hangs_serves_and_says_so(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("A30:1g.6gb", config=IMPATIENT)
    daemon.machine.hang("nvmlInitWithFlags", 600.0)
    daemon.start()
    job = daemon.submit("true")
    cpu = daemon.submit("true", gpus=GpuRequest(kind="none"))
    assert daemon.done(cpu).outcome == "COMPLETED"
    assert "nvmlInit has not returned" in problems(daemon)
    (blocker,) = daemon.client.show(str(job.id)).blockers
    assert (blocker.kind, "nvmlInit" in blocker.have) == ("GpuUnavailable", True)
    assert daemon.stop() == 0, "a thread that hangs does not keep it"
    daemon.machine.clear_faults()
    daemon.start()
    assert daemon.done(job).outcome == "COMPLETED"
