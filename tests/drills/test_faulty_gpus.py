"""A daemon on a machine whose GPUs misbehave: what is well goes on, and everybody is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from launcher.fakegpu.hook import StubHook
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import (
    GpuRequest,
    JobView,
    LayoutEntry,
    LayoutRequest,
    LayoutSpec,
    SliceView,
)
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
    blocker = daemon.blocker_of(waiting)
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
    blocker = daemon.blocker_of(job)
    assert (blocker.kind, "nvmlInit" in blocker.have) == ("GpuUnavailable", True)
    assert daemon.stop() == 0, "a thread that hangs does not keep it"
    daemon.machine.clear_faults()
    daemon.start()
    assert daemon.done(job).outcome == "COMPLETED"


def test_a_layout_change_that_hangs_keeps_no_daemon_from_ending(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("A30:1g.6gb*3", config=IMPATIENT).start()
    wait_until(daemon.client.slices, what="the slices are read")
    call = "nvmlDeviceCreateGpuInstanceWithPlacement"
    daemon.machine.hang(call, 600.0)
    entry = LayoutEntry(gpus=["0"], specs=[LayoutSpec(profile="1g.6gb", count=4)])
    daemon.client.layout.change(LayoutRequest(verb="apply", request="", entries=[entry]))
    wait_until(lambda: daemon.machine.calls(call), what="it hangs")
    assert daemon.done(daemon.submit("true")).outcome == "COMPLETED"
    assert daemon.stop() == 0
    daemon.machine.clear_faults()


def test_an_xid_on_each_of_seven_slices_takes_it_out_of_use_until_it_was_looked_at(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon("A100-80GB:1g.10gb*7", config=IMPATIENT).start()
    wanted = GpuRequest(kind="profile", profile="1g.10gb")
    job = daemon.until(daemon.submit("sh", "-c", "sleep 1.5; exit 4", gpus=wanted), "RUNNING")
    slices = daemon.machine.mig_uuids()
    for number, uuid in enumerate(slices, start=1):
        daemon.machine.xid(uuid, 31)  # a program's error
        daemon.machine.xid(uuid, 94)
        wait_until(lambda n=number: quarantined(daemon) == set(slices[:n]), what=f"{number} slices")
    assert on(daemon, job.slices[0]).state == "leased"
    assert daemon.done(job).exit_code == 4, "its job was left alone"
    events = [(e.event, e.detail) for e in daemon.client.show(str(job.id)).events]
    assert sum(name == "Xid" for name, _ in events) == 2
    assert any("XID 94" in text and "the job continues" in text for _, text in events)
    daemon.kill()
    daemon.start()
    wait_until(lambda: quarantined(daemon) == set(slices), what="the slices are read")
    waiting = daemon.submit("true", gpus=wanted)
    wait_until(lambda: "XID 94 was reported for" in why(daemon, waiting), what="it says why")
    told = daemon.cli("slices", "--why").stdout
    assert told.count("quarantined since 20") == 7
    assert "`launch undrain MIG-" in told
    daemon.machine.add_process(slices[3], 4711)
    refused = daemon.cli("undrain", "0")
    assert refused.returncode == 1
    assert f"{slices[3]} stays quarantined" in refused.stderr
    assert "process 4711" in refused.stderr
    assert quarantined(daemon) == set(slices)
    daemon.machine.remove_process(4711)
    assert daemon.cli("undrain", "0").returncode == 0
    assert quarantined(daemon) == set()
    assert daemon.done(waiting).outcome == "COMPLETED"


def test_a_gpu_that_falls_off_the_bus_and_comes_back_disturbs_no_job(
    two_gpus: DaemonProcess,
) -> None:
    daemon, machine = two_gpus, two_gpus.machine
    gone = machine.gpu_uuids()[0]
    job = daemon.until(daemon.submit("sh", "-c", "sleep 1.5; exit 5"), "RUNNING")
    machine.lose_gpu(gone)
    wait_until(lambda: "GPU 0 is lost" in problems(daemon), what="status says so")
    shown = on(daemon, job.slices[0])
    assert (shown.state, daemon.state_of(job)) == ("lost", "RUNNING")
    waiting = daemon.submit("true")
    wait_until(lambda: "is not reported by NVML" in why(daemon, waiting), what="it says why")
    machine.lose_gpu(gone, lost=False)
    assert daemon.done(waiting).outcome == "COMPLETED"
    assert daemon.done(job).exit_code == 5


def test_a_driver_that_was_upgraded_under_the_daemon_stops_starts_and_no_job(
    two_gpus: DaemonProcess,
) -> None:
    daemon, machine = two_gpus, two_gpus.machine
    job = daemon.until(daemon.submit("sh", "-c", "sleep 1; exit 5"), "RUNNING")
    machine.fail("*", "LIB_RM_VERSION_MISMATCH", times=None)
    wait_until(lambda: "different versions" in problems(daemon), what="status says so")
    waiting = daemon.submit("true")
    assert daemon.done(job).exit_code == 5
    wait_until(lambda: "different versions" in why(daemon, waiting), what="the job says why")
    assert daemon.client.show(str(waiting.id)).job.reason == "GpuUnavailable"
    states = {s.state for s in daemon.client.slices()}
    assert states <= {"silent", "releasing"}, "nothing is lost because nothing can be asked"
    machine.clear_faults()
    assert daemon.done(waiting).outcome == "COMPLETED"


def test_a_slice_that_goes_under_its_job_is_not_leased_again_until_the_job_is_over(
    daemon: DaemonProcess,
) -> None:
    machine = daemon.machine
    job = daemon.until(daemon.submit("sh", "-c", "sleep 5; exit 5"), "RUNNING")
    (uuid,) = job.slices
    gone = next(i for i in machine.instances() if uuid in i.uuids)
    machine.remove_instance(gone.gpu_uuid, gone.gi)
    wait_until(lambda: on(daemon, uuid).state == "lost", what="it is seen to be gone")
    lost = f"job {job.id} has {uuid}, which is not reported by NVML"
    wait_until(lambda: lost in problems(daemon), what="status says so")
    assert daemon.client.status().state == "degraded"
    again = machine.add_instance(gone.gpu_uuid, "1g.6gb+me", gone.start)
    assert again.uuids == (uuid,), "MIG UUIDs recur"
    other = daemon.submit("true", gpus=GpuRequest(kind="profile", profile="1g.6gb+me"))
    now = f"was a 1g.6gb at {gone.start}, and NVML reports it as a 1g.6gb+me at {gone.start} now"
    wait_until(lambda: now in (on(daemon, uuid).why or ""), what="it is told what it is now")
    assert now in problems(daemon)
    wait_until(lambda: f"{now}, and job {job.id} has it" in why(daemon, other), what="it waits")
    shown = on(daemon, uuid)
    assert (shown.state, shown.profile, shown.job) == ("lost", "1g.6gb", job.id)
    assert daemon.state_of(job) == "RUNNING", "its job is left alone"
    assert daemon.done(job).exit_code == 5
    assert daemon.done(other).slices == [uuid]
    assert f"job {job.id}" not in problems(daemon)
    assert on(daemon, uuid).profile == "1g.6gb+me"
    machine.remove_instance(gone.gpu_uuid, again.gi)
    wait_until(lambda: uuid not in {s.uuid for s in daemon.client.slices()}, what="it is gone")


@pytest.fixture
def hook(sandbox: Sandbox) -> Iterator[StubHook]:
    yield sandbox.hook
    sandbox.hook.allow()


def test_a_driver_that_works_for_no_container_has_all_gpu_jobs_wait_and_holds_none(
    daemon: DaemonProcess, hook: StubHook
) -> None:
    text = "nvidia-container-cli: initialization error: nvml error: driver/library version mismatch"
    hook.refuse(f"Auto-detected mode as 'legacy'\n{text}\n")
    jobs = [daemon.submit("true") for _ in range(3)]
    said = text.partition(": ")[2]
    wait_until(lambda: said in problems(daemon), what="status says it in NVIDIA's words")
    assert daemon.done(daemon.submit("true", gpus=GpuRequest(kind="none"))).outcome == "COMPLETED"
    for job in jobs:
        wait_until(lambda j=job: said in why(daemon, j), what="the job says why")
        shown = daemon.client.show(str(job.id)).job
        assert (shown.state, shown.reason) == ("PENDING", "EngineUnavailable")
    assert {s.state for s in daemon.client.slices()} == {"free"}
    hook.allow()
    daemon.kill()
    daemon.start()
    assert {daemon.done(job).outcome for job in jobs} == {"COMPLETED"}


def test_a_slice_on_which_starts_fail_is_left_out_and_the_next_job_gets_another(
    daemon: DaemonProcess, hook: StubHook
) -> None:
    bad = wait_until(daemon.client.slices, what="the slices are read")[-1].uuid
    others = [daemon.until(daemon.submit("sleep", "60"), "RUNNING") for _ in range(3)]
    missing = "mount error: stat failed: /dev/nvidia-caps/nvidia-cap21: no such file or directory"
    hook.refuse(f"nvidia-container-cli: {missing}", devices=bad)
    first = daemon.submit("true")
    wait_until(lambda: quarantined(daemon) == {bad}, what="three starts fail")
    assert "3 starts in a row failed on it" in (on(daemon, bad).why or "")
    assert missing in (on(daemon, bad).why or "")
    daemon.client.cancel(str(others[0].id))
    second = daemon.done(daemon.submit("true"))
    assert second.outcome == "COMPLETED"
    assert second.slices != [bad]
    hook.allow()
    assert daemon.cli("undrain", bad).returncode == 0
    daemon.client.release(str(first.id))
    assert daemon.done(first).outcome == "COMPLETED"


def test_a_bad_slice_takes_one_try_of_a_job_and_not_all(
    daemon: DaemonProcess, hook: StubHook
) -> None:
    bad = wait_until(daemon.client.slices, what="the slices are read")[0].uuid
    hook.refuse("nvidia-container-cli: mount error: no", devices=bad)
    job = daemon.done(daemon.submit("true"))
    assert (job.outcome, job.attempt) == ("COMPLETED", 2)
    assert job.slices != [bad]
    assert quarantined(daemon) == set()


def why(daemon: DaemonProcess, job: JobView) -> str:
    return "; ".join(blocker.have for blocker in daemon.client.show(str(job.id)).blockers)


def quarantined(daemon: DaemonProcess) -> set[str]:
    return {s.uuid for s in daemon.client.slices() if "is quarantined" in (s.why or "")}


def test_a_gpu_whose_mode_goes_under_a_job_is_leased_whole_only_after_it(
    daemon: DaemonProcess,
) -> None:
    machine = daemon.machine
    job = daemon.until(daemon.submit("sh", "-c", "sleep 4; exit 5"), "RUNNING")
    (gpu,) = machine.gpu_uuids()
    machine.set_mig_mode(gpu, on=False)
    whole = daemon.submit("true", gpus=GpuRequest(kind="full"))
    told = f"cannot be used while job {job.id} has {job.slices[0]} (1g.6gb) of the same GPU"
    wait_until(lambda: told in why(daemon, whole), what="it waits for the job")
    assert on(daemon, gpu).why == told
    assert daemon.client.status().state == "degraded"
    assert daemon.done(job).exit_code == 5
    assert daemon.done(whole).outcome == "COMPLETED"
