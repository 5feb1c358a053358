"""A layout over reboots, over a daemon that dies in the middle, and over NVML calls that hang."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from launcher.errors import LauncherError
from launcher.wire import GpuRequest, LayoutEntry, LayoutRequest, LayoutSpec
from tests.conftest import MakeDaemon
from tests.support.daemon import DaemonProcess
from tests.support.wait import wait_until


def apply(daemon: DaemonProcess, *specs: LayoutSpec, exact: bool = True) -> str | None:
    entry = LayoutEntry(gpus=["0"], specs=list(specs), exact=exact)
    begun = daemon.client.layout.change(LayoutRequest(verb="apply", request="", entries=[entry]))
    return daemon.client.layout.wait(begun.id, 30).result


def standing(daemon: DaemonProcess) -> list[tuple[str, int]]:
    return sorted((i.profile, i.start) for i in daemon.machine.instances())


@pytest.mark.parametrize(
    ("board", "profile"),
    [("A30", "2g.12gb"), ("H100-80GB", "3g.40gb"), ("RTX-PRO-6000", "2g.48gb")],
)
def test_a_saved_layout_is_back_after_a_reboot_before_a_job_starts(
    make_daemon: MakeDaemon, tmp_path: Path, board: str, profile: str
) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    daemon = make_daemon(f"{board}:")
    daemon.extra["LAUNCHER_BOOT_ID_FILE"] = str(boot)
    daemon.start()
    assert apply(daemon, LayoutSpec(profile=profile, count=2)) == "applied"
    daemon.client.layout.save()
    daemon.client.layout.drain("0", "for the reboot")
    job = daemon.submit("true", gpus=GpuRequest(kind="profile", profile=profile))
    daemon.stop()
    before = standing(daemon)
    daemon.machine.reboot()
    boot.write_text("second\n")
    assert standing(daemon) == []
    daemon.start()
    assert standing(daemon) == before
    daemon.client.layout.drain("0", None)
    assert daemon.done(job).outcome == "COMPLETED"
    restored = next(c for c in daemon.client.layout.changes() if c.verb == "restore")
    assert restored.result == "applied"


def test_without_a_reboot_nothing_is_restored(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("A30:1g.6gb*2").start()
    daemon.client.layout.save()
    assert apply(daemon) == "applied"
    daemon.stop()
    daemon.start()
    assert standing(daemon) == []


def test_a_saved_layout_that_cannot_be_restored_is_a_problem_and_jobs_go_on(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    daemon = make_daemon("A30:1g.6gb*4")
    daemon.extra["LAUNCHER_BOOT_ID_FILE"] = str(boot)
    daemon.start().client.layout.save()
    daemon.stop()
    daemon.machine.reboot()
    boot.write_text("second\n")
    daemon.machine.fail("nvmlDeviceCreateGpuInstanceWithPlacement", "UNKNOWN", times=None)
    daemon.start()
    status = daemon.client.status()
    assert any("saved layout is not restored" in problem for problem in status.problems)
    assert daemon.done(daemon.submit("true", gpus=GpuRequest(kind="none"))).outcome == "COMPLETED"


def test_a_daemon_killed_in_the_middle_leaves_a_record_and_the_same_request_completes_it(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon("A30:1g.6gb*4").start()
    daemon.machine.hang("nvmlGpuInstanceDestroy", 20, at=2)
    entry = LayoutEntry(gpus=["0"], specs=[LayoutSpec(profile="2g.12gb", count=2)], exact=True)
    daemon.client.layout.change(LayoutRequest(verb="apply", request="", entries=[entry]))
    wait_until(lambda: daemon.machine.calls("nvmlGpuInstanceDestroy") == 2, what="it hangs")
    daemon.kill()
    daemon.machine.clear_faults()
    daemon.start()
    (change,) = daemon.client.layout.changes()
    assert change.result == "failed"
    assert "repeat the request to complete it" in (change.message or "")
    assert len(standing(daemon)) < 4
    assert apply(daemon, LayoutSpec(profile="2g.12gb", count=2)) == "applied"
    assert standing(daemon) == [("2g.12gb", 0), ("2g.12gb", 2)]


def test_a_call_that_hangs_holds_up_neither_the_daemon_nor_other_jobs(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon("A30:1g.6gb*3").start()
    daemon.machine.hang("nvmlDeviceCreateGpuInstanceWithPlacement", 20)
    spec = LayoutSpec(profile="1g.6gb", count=4)
    results: list[str | None] = []
    asking = threading.Thread(target=lambda: results.append(apply(daemon, spec)))
    asking.start()
    wait_until(
        lambda: daemon.machine.calls("nvmlDeviceCreateGpuInstanceWithPlacement"), what="it hangs"
    )
    assert daemon.client.status().gpus == 1
    assert daemon.done(daemon.submit("true")).outcome == "COMPLETED"
    with pytest.raises(LauncherError, match="is under way"):
        apply(daemon, spec)
    daemon.machine.clear_faults()
    asking.join(30)
    assert results == ["applied"]


def test_a_change_that_waits_goes_on_waiting_after_a_restart_and_nobody_gets_its_slices(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon("A30:1g.6gb*2").start()
    job = daemon.submit("sleep", "60")
    daemon.until(job, "RUNNING")
    entry = LayoutEntry(gpus=["0"], specs=[LayoutSpec(profile="2g.12gb", count=2)], exact=True)
    asked = LayoutRequest(verb="apply", request="", entries=[entry], busy="wait")
    begun = daemon.client.layout.change(asked)
    assert begun.state == "waiting"
    assert f"is used by job {job.id}" in (begun.message or "")
    daemon.kill()
    daemon.start()
    late = daemon.submit("true", gpus=GpuRequest(kind="profile", profile="1g.6gb"))
    (waits,) = daemon.client.layout.changes()
    assert (waits.state, daemon.client.jobs([late.id])[0].state) == ("waiting", "PENDING")
    daemon.client.cancel(job.id)
    assert daemon.client.layout.wait(begun.id, 30).result == "applied"
    assert standing(daemon) == [("2g.12gb", 0), ("2g.12gb", 2)]


def first_boot(directory: Path) -> Path:
    boot = directory / "boot_id"
    boot.write_text("first\n")
    return boot


def rebooted(daemon: DaemonProcess, boot: Path) -> None:
    daemon.stop()
    daemon.machine.reboot()
    boot.write_text("second\n")
    daemon.start()


def test_a_mode_that_the_reboot_did_not_bring_leaves_other_gpus_their_saved_layout(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon, boot = make_daemon("A30:1g.6gb*2, A30"), first_boot(tmp_path)
    daemon.extra["LAUNCHER_BOOT_ID_FILE"] = str(boot)
    second = daemon.machine.gpu_uuids()[1]
    daemon.machine.set_reset_works(second, works=False)
    daemon.start().client.layout.save()
    entry = LayoutEntry(gpus=["1"], mode=True)
    request = LayoutRequest(verb="enable", request="", entries=[entry])
    pending = daemon.client.layout.wait(daemon.client.layout.change(request).id, 30)
    assert pending.state == "pending"
    daemon.stop()
    daemon.machine.set_mig_mode(second, on=False, pending_only=True)
    rebooted(daemon, boot)
    problems = " ".join(daemon.client.status().problems)
    assert (
        f"layout change {pending.id}: after the reboot MIG mode of GPU 1 is still off" in problems
    )
    assert standing(daemon) == [("1g.6gb", 0), ("1g.6gb", 1)]


def test_a_change_that_waited_before_a_reboot_comes_before_the_saved_layout_of_its_gpu(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon, boot = make_daemon("A30:1g.6gb*2, A30:4g.24gb"), first_boot(tmp_path)
    daemon.extra["LAUNCHER_BOOT_ID_FILE"] = str(boot)
    daemon.start().client.layout.save()
    job = daemon.submit("sleep", "60")
    daemon.until(job, "RUNNING")
    entry = LayoutEntry(gpus=["0"], specs=[LayoutSpec(profile="2g.12gb", count=2)], exact=True)
    asked = LayoutRequest(verb="apply", request="", entries=[entry], busy="wait")
    begun = daemon.client.layout.change(asked)
    assert begun.state == "waiting"
    rebooted(daemon, boot)  # where the job's container runs on: it is Docker's, and still there
    assert standing(daemon) == [("4g.24gb", 0)]
    daemon.client.cancel(job.id)
    assert daemon.client.layout.wait(begun.id, 30).result == "applied"
    assert standing(daemon) == [("2g.12gb", 0), ("2g.12gb", 2), ("4g.24gb", 0)]
    assert not [p for p in daemon.client.status().problems if "layout" in p]
