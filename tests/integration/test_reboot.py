"""The machine reboots under running jobs: nothing is made up, nothing stays with the past."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from launcher.engine.containers import Containers
from launcher.fakegpu.processes import with_argument
from launcher.host.cgroup import unified_root
from launcher.host.helper.jobs import start_ticks
from launcher.host.starting import RECORDS
from launcher.wire import Retries
from tests.acceptance.shell import LAUNCH
from tests.conftest import MakeDaemon
from tests.support.daemon import DaemonProcess
from tests.support.keepers import keeper_of
from tests.support.wait import wait_until

INFRA = Retries(max=1, on=("infra",))


def in_first_boot(make_daemon: MakeDaemon, tmp_path: Path) -> tuple[DaemonProcess, Path]:
    """Start a daemon; return it, and the file that tells it which boot this is."""
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    daemon = make_daemon()
    daemon.extra["LAUNCHER_BOOT_ID_FILE"] = str(boot)
    return daemon.start(), boot


def test_jobs_that_a_reboot_ended_are_lost_or_run_again_and_their_slices_are_free(
    make_daemon: MakeDaemon, docker: Containers, tmp_path: Path
) -> None:
    daemon, boot = in_first_boot(make_daemon, tmp_path)
    ended = daemon.done(daemon.submit("sh", "-c", "exit 9"))
    lost = daemon.until(daemon.submit("sleep", "60"), "RUNNING")
    again = daemon.until(
        daemon.submit("sh", "-c", "[ $LAUNCHER_ATTEMPT = 2 ] || sleep 60", retries=INFRA), "RUNNING"
    )
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 1.5, what="no clock can take them for later")
    daemon.kill()
    # What the boot leaves: no process, no slice, and a Docker that says of all that they ended.
    boot.write_text("second\n")
    for job in (lost, again):
        docker.kill(job.container_id or "", "SIGKILL")
    daemon.machine.reboot()
    daemon.machine.set_mig_mode(daemon.machine.gpu_uuids()[0], on=True)
    for start in range(4):
        daemon.machine.add_instance(daemon.machine.gpu_uuids()[0], "1g.6gb", start)
    daemon.start()
    assert daemon.done(lost).outcome == "LOST"
    assert "rebooted" in (daemon.client.show(str(lost.id)).job.message or "")
    assert daemon.done(again).outcome == "COMPLETED"
    assert daemon.client.show(str(again.id)).job.attempt == 2
    assert daemon.client.show(str(ended.id)).job.exit_code == 9
    wait_until(
        lambda: {s.state for s in daemon.client.slices()} == {"free"}, what="all slices are free"
    )


def test_a_host_job_that_a_reboot_ended_is_lost_and_its_slice_is_free(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon, boot = in_first_boot(make_daemon, tmp_path)
    command = [LAUNCH, "host", "-q", "--profile", "1g.6gb", "--", "sleep", "600"]
    with subprocess.Popen(command, env=daemon.environment) as client:
        wait_until(lambda: daemon.client.status().jobs.get("RUNNING") == 1)
        store = daemon.client.status().store
        daemon.kill()
        end_of_the_boot(daemon, store)
        shutil.rmtree(daemon.place / RECORDS)
        assert client.wait(20) == 128 + signal.SIGKILL
    boot.write_text("second\n")
    daemon.start()
    wait_until(lambda: daemon.client.show("last").job.outcome == "LOST")
    assert "rebooted" in (daemon.client.show("last").job.message or "")
    wait_until(lambda: {s.state for s in daemon.client.slices()} == {"free"})


@pytest.mark.parametrize("run_is_emptied", [True, False])
def test_background_host_jobs_that_a_reboot_ended_are_lost_or_run_again_and_no_process_is_mistaken(
    make_daemon: MakeDaemon, tmp_path: Path, run_is_emptied: bool
) -> None:
    daemon, boot = in_first_boot(make_daemon, tmp_path)
    on_host = {"image": "", "runtime": "host", "working_dir": "/"}
    ended = daemon.done(daemon.submit("sh", "-c", "exit 9", **on_host))
    lost = daemon.until(daemon.submit("sleep", "600", **on_host), "RUNNING")
    typed_in = daemon.submit("sleep", "600", tty=True, stdin_open=True, **on_host)
    daemon.until(typed_in, "RUNNING")
    script = "[ $LAUNCHER_ATTEMPT = 2 ] || exec sleep 600"
    again = daemon.until(daemon.submit("sh", "-c", script, retries=INFRA, **on_host), "RUNNING")
    store = daemon.client.status().store
    daemon.kill()
    end_of_the_boot(daemon, store)
    records = daemon.place / RECORDS
    with subprocess.Popen(["sleep", "600"]) as other:
        if run_is_emptied:
            shutil.rmtree(records)
        else:  # the next boot gave the main process's pid, at the same time, to another one
            record = records / f"host-{store}-{lost.id}-1.json"
            fields = json.loads(record.read_text())
            fields |= {"pid": other.pid, "ticks": start_ticks(other.pid)}
            record.write_text(json.dumps(fields))
        boot.write_text("second\n")
        daemon.start()
        for job in (lost, typed_in):
            assert daemon.done(job).outcome == "LOST"
            assert "rebooted" in (daemon.client.show(str(job.id)).job.message or "")
        assert daemon.done(again).outcome == "COMPLETED"
        assert daemon.client.show(str(again.id)).job.attempt == 2
        assert daemon.client.show(str(ended.id)).job.exit_code == 9
        wait_until(lambda: {s.state for s in daemon.client.slices()} == {"free"})
        wait_until(lambda: not list(records.glob("*.json")), what="no record is left")
        wait_until(lambda: not list((daemon.state / "terminals").iterdir()))
        assert other.poll() is None, "a process of this boot is not the job's"
        other.kill()


def end_of_the_boot(daemon: DaemonProcess, store: str) -> None:
    """Leave of a killed daemon's host jobs what a reboot does: no process and no cgroup."""
    root = unified_root()
    assert root is not None
    (helper,) = with_argument(str(daemon.place / RECORDS))
    os.kill(helper, signal.SIGKILL)
    os.kill(keeper_of(daemon), signal.SIGKILL)
    for cgroup in (root / "launcher.host").glob(f"host-{store}-*"):
        (cgroup / "cgroup.kill").write_text("1")
        wait_until(lambda cgroup=cgroup: removed(cgroup))


def removed(cgroup: Path) -> bool:
    """Remove a cgroup once no process is in it."""
    with contextlib.suppress(OSError):
        cgroup.rmdir()
    return not cgroup.exists()
