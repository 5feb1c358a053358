"""A backup of a daemon that works, and what comes back of it on another day."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from launcher.core.model.ids import LABEL_STORE
from launcher.engine.containers import Containers
from launcher.errors import NotAllowed
from launcher.wire import GpuRequest, JobSpec
from tests.support.daemon import BUSYBOX, LAUNCH, DaemonProcess, as_user
from tests.support.wait import wait_until

NONE = GpuRequest(kind="none")
ONE = GpuRequest(kind="profile", profile="1g.6gb")
LONG = ["sh", "-c", "echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done"]


def restore(daemon: DaemonProcess, file: Path) -> subprocess.CompletedProcess[str]:
    command = [*LAUNCH, "restore", "--state-dir", str(daemon.state), str(file)]
    return subprocess.run(
        [*command, "--config", str(daemon.config)],
        env=daemon.environment,
        check=False,
        capture_output=True,
        text=True,
    )


def test_what_had_not_ended_comes_back_held_and_nothing_runs_twice_by_itself(
    daemon: DaemonProcess, docker: Containers, tmp_path: Path
) -> None:
    over = daemon.done(daemon.submit("sh", "-c", "exit 3"))
    runs = daemon.until(daemon.submit(*LONG, gpus=ONE), "RUNNING")
    (waits,) = daemon.client.submit([JobSpec(name="w", image=BUSYBOX, gpus=NONE, hold=True)])
    file = tmp_path / "launcher.backup"
    made = daemon.cli("backup", str(file))
    assert made.returncode == 0, made.stderr
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == [file.name]
    later = daemon.submit("true")
    store = daemon.client.status().store
    refused = restore(daemon, file)
    assert refused.returncode == 1
    assert "in use by another launcher daemon" in refused.stderr
    daemon.stop()
    for beside in ("", "-wal", "-shm"):
        (daemon.state / f"launcher.db{beside}").unlink(missing_ok=True)
    told = restore(daemon, file)
    assert told.returncode == 0, told.stderr
    assert "2 unfinished jobs are held" in told.stderr
    assert f"label={LABEL_STORE}={store}" in told.stderr
    daemon.start()
    assert daemon.client.status().store != store
    assert daemon.client.show(str(over.id)).job.exit_code == 3
    shown = {job.id: job for job in daemon.client.jobs()}
    assert {(job.state, job.reason) for job in shown.values()} == {("PENDING", "Restored")}
    assert shown.keys() == {runs.id, waits.id}
    used = [one for one in daemon.client.slices() if one.state == "foreign"]
    assert len(used) == 1, "the container that runs on has its slice"
    daemon.client.release(str(runs.id))
    again = daemon.until(daemon.client.show(str(runs.id)).job, "RUNNING")
    assert again.slices != [used[0].uuid]
    assert again.attempt == 2
    (new,) = daemon.client.submit([JobSpec(name="n", image=BUSYBOX, gpus=NONE, hold=True)])
    assert new.id > later.id
    for container in docker.of_any_store():
        docker.remove(container["Id"])


def test_a_file_that_is_not_a_whole_backup_changes_nothing(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    daemon.client.submit([JobSpec(name="w", image=BUSYBOX, gpus=NONE, hold=True)])
    file = tmp_path / "b"
    assert daemon.cli("backup", str(file)).returncode == 0
    daemon.stop()
    before = (daemon.state / "launcher.db").read_bytes()
    text = tmp_path / "text"
    text.write_text("not a database\n" * 100)
    torn = tmp_path / "torn"
    data = bytearray(file.read_bytes())
    data[8 * 4096 : 9 * 4096] = os.urandom(4096)
    torn.write_bytes(data)
    newer = tmp_path / "newer"
    data = bytearray(file.read_bytes())
    data[60:64] = (99).to_bytes(4, "big")  # user_version: sqlite.org/fileformat2.html, 1.3
    newer.write_bytes(data)
    for bad in (text, torn, newer):
        told = restore(daemon, bad)
        assert told.returncode in (1, 2), told
        assert "internal error" not in told.stderr
        assert told.stderr.strip()
    assert (daemon.state / "launcher.db").read_bytes() == before
    assert not (daemon.state / "restoring").exists()
    daemon.start()
    assert len(daemon.client.jobs()) == 1


def test_only_an_admin_gets_a_backup_and_a_file_is_not_replaced_unasked(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    file = tmp_path / "b"
    file.write_text("mine")
    refused = daemon.cli("backup", str(file))
    assert (refused.returncode, file.read_text()) == (2, "mine")
    assert daemon.cli("backup", "--force", str(file)).returncode == 0
    wait_until(lambda: daemon.client.audit()[-1].route == "POST /v1/backup")
    assert file.read_bytes()[:15] == b"SQLite format 3"
    with as_user(23001), pytest.raises(NotAllowed, match="not an admin"):
        list(daemon.client.backup())


def test_prune_says_what_it_did(daemon: DaemonProcess) -> None:
    daemon.done(daemon.submit("true"))
    told = daemon.cli("prune", "--dry-run", "--older-than", "0s")
    assert told.stdout == "would delete 1 jobs that ended more than 0s ago\n"
    told = daemon.cli("prune", "--older-than", "0s", "-o", "json")
    assert json.loads(told.stdout)["jobs"] == 1
    line = daemon.client.audit()[-1]
    assert (line.route, line.detail) == ("POST /v1/prune", "jobs older than 0 s")
    told = daemon.cli("prune")
    assert told.stdout == "deleted 0 jobs that ended more than 180d ago\n"
    wait_until(lambda: daemon.client.status().jobs == {})
