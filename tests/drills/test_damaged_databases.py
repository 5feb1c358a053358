"""A damaged, lost or newer database: the daemon says so, touches nothing, and can be rebuilt."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from launcher.engine.containers import Containers
from launcher.errors import LauncherError, RecoveryMode
from launcher.output.log_file import path_of
from launcher.store.connect import FILE_NAME
from launcher.wire import GpuRequest
from tests.support.daemon import DaemonProcess
from tests.support.engine import let_go
from tests.support.wait import wait_until

ALL = GpuRequest(kind="profile", profile="1g.6gb", count=4)
LONG = ("sh", "-c", "echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 7")


def zero_the_header(state: Path) -> None:
    """Destroy the first page, as a bad sector does; the log must not have it too."""
    connection = sqlite3.connect(state / FILE_NAME)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with (state / FILE_NAME).open("r+b") as file:
        file.write(b"\0" * 4096)


def garble_everything(state: Path) -> None:
    size = (state / FILE_NAME).stat().st_size
    (state / FILE_NAME).write_bytes(b"\xa5" * size)
    (state / f"{FILE_NAME}-wal").unlink(missing_ok=True)


def remove_it(state: Path) -> None:
    for beside in ("", "-wal", "-shm"):
        (state / f"{FILE_NAME}{beside}").unlink(missing_ok=True)


def restart(daemon: DaemonProcess, *words: str) -> None:
    daemon.words = list(words)
    daemon.start()
    daemon.words = []


@pytest.mark.parametrize("damage", [zero_the_header, garble_everything, remove_it])
def test_a_daemon_without_its_database_answers_status_and_touches_nothing(
    daemon: DaemonProcess, docker: Containers, damage: object
) -> None:
    job = daemon.until(daemon.submit(*LONG), "RUNNING")
    store = daemon.client.status().store
    daemon.kill()
    damage(daemon.state)  # type: ignore[operator]
    restart(daemon)
    status = daemon.cli("status", "-o", "json")
    assert status.returncode == 1
    told = json.loads(status.stdout)
    assert (told["state"], told["store"]) == ("degraded", store)
    problems = " ".join(told["problems"])
    assert str(daemon.state / FILE_NAME) in problems
    assert "launch serve --rebuild-from-docker" in problems
    assert "left alone: 1" in problems
    for words in (["ps"], ["submit", "-"], ["cancel", "1"], ["slices"], ["logs", "1"]):
        refused = daemon.cli(*words, input="image: x\n")
        assert refused.returncode != 0
        assert "recovery mode" in refused.stderr, words
    found = docker.inspect(job.container_id or "")
    assert found is not None
    assert found.running
    assert daemon.cli("stop").returncode == 0
    assert daemon.process is not None
    assert daemon.process.wait(10) == 0


@pytest.mark.parametrize("damage", [zero_the_header, garble_everything, remove_it])
def test_a_rebuild_follows_what_runs_to_its_true_end_and_books_no_slice_twice(
    daemon: DaemonProcess, docker: Containers, damage: object
) -> None:
    store = daemon.client.status().store
    job = daemon.until(daemon.submit(*LONG, time_limit=600.0), "RUNNING")
    ended = daemon.until(daemon.submit("sh", "-c", "echo out; sleep 1; exit 3"), "RUNNING")
    gang = daemon.submit("true", gpus=ALL)
    daemon.kill()
    gone = ended.container_id or ""
    wait_until(lambda: not docker.inspect(gone).running, what="it ends")  # type: ignore[union-attr]
    damage(daemon.state)  # type: ignore[operator]
    restart(daemon, "--rebuild-from-docker")
    assert daemon.client.status().store == store
    after = daemon.until(job, "RUNNING")
    assert (after.container_id, after.slices, after.attempt) == (
        job.container_id,
        job.slices,
        job.attempt,
    )
    assert after.user == job.user
    leased = {s.uuid for s in daemon.client.slices() if s.job == job.id}
    assert leased == set(job.slices)
    again = daemon.done(ended)
    assert (again.exit_code, again.outcome) == (3, "FAILED")
    assert daemon.output(ended) == b"out\n"
    fresh = daemon.submit("true", time_limit=30.0)  # ends before the gang could start
    assert fresh.id > gang.id
    assert not set(daemon.done(fresh).slices) & leased
    if damage is zero_the_header:
        assert daemon.state_of(gang) == "PENDING"
        assert daemon.client.show(str(gang.id)).spec.command == ("true",)  # type: ignore[union-attr]
    let_go(docker, job.container_id or "")
    assert daemon.done(job).exit_code == 7
    assert daemon.output(job) == b"begun\n"
    if damage is zero_the_header:
        assert daemon.done(gang).outcome == "COMPLETED"
    aside = list(daemon.state.glob(f"{FILE_NAME}.damaged-*Z"))
    assert len(aside) == (0 if damage is remove_it else 1)
    (report,) = daemon.state.glob("*.report")
    assert f"from their containers: {job.id}" in report.read_text()
    daemon.stop()
    restart(daemon)
    wait_until(lambda: daemon.client.status().state == "healthy", what="it is well")


def test_a_rebuild_of_a_well_database_changes_nothing(daemon: DaemonProcess) -> None:
    job = daemon.done(daemon.submit("true"))
    daemon.stop()
    restart(daemon, "--rebuild-from-docker")
    assert daemon.client.show(str(job.id)).job.outcome == "COMPLETED"
    assert "nothing to rebuild" in daemon.tail()
    assert not list(daemon.state.glob("*damaged*"))


def test_a_rebuild_without_docker_changes_nothing(daemon: DaemonProcess) -> None:
    daemon.stop()
    zero_the_header(daemon.state)
    before = (daemon.state / FILE_NAME).read_bytes()
    done = daemon.cli(
        "serve", "--rebuild-from-docker", "--state-dir", str(daemon.state),
        "--docker-host", "unix:///nowhere/docker.sock",
    )  # fmt: skip
    assert done.returncode == 3
    assert "nowhere" in done.stderr
    assert (daemon.state / FILE_NAME).read_bytes() == before
    assert not list(daemon.state.glob("*rebuilding*"))


def test_a_lost_database_of_several_stores_is_not_guessed(
    daemon: DaemonProcess, docker: Containers
) -> None:
    daemon.stop()
    garble_everything(daemon.state)
    (daemon.state / "store-id").unlink()
    for store in ("aaaaaaaa", "bbbbbbbb"):
        labels = {"launcher.store": store, "launcher.job": "1", "launcher.attempt": "1"}
        docker.create(f"of-{store}", {"Image": "launcher/busybox:latest", "Labels": labels})
    words = ["serve", "--rebuild-from-docker", "--docker-host", daemon.docker_host]
    done = daemon.cli(*words, "--state-dir", str(daemon.state))
    assert done.returncode == 2
    assert "aaaaaaaa, bbbbbbbb" in done.stderr
    assert "store-id" in done.stderr


def test_an_attempt_that_left_only_its_log_is_not_run_again(
    daemon: DaemonProcess, docker: Containers
) -> None:
    """The file is older than the machine: a backup, or a log that was lost with its commits."""
    first = daemon.until(daemon.submit("sleep", "30", gpus=ALL), "RUNNING")
    job = daemon.submit("touch", "/tmp/x")
    daemon.stop()
    backup = (daemon.state / FILE_NAME).read_bytes()
    daemon.start()
    daemon.client.cancel(str(first.id))
    daemon.done(job)
    wait_until(lambda: not docker.ours(daemon.client.status().store), what="all is removed")
    daemon.stop()
    remove_it(daemon.state)
    (daemon.state / FILE_NAME).write_bytes(b"\0" * 4096 + backup[4096:])
    assert path_of(daemon.state / "logs", job.id, 1).exists()
    restart(daemon, "--rebuild-from-docker")
    for lost in (first, job):
        assert daemon.client.show(str(lost.id)).job.outcome == "LOST"


def test_a_newer_schema_is_left_alone_also_by_a_rebuild(daemon: DaemonProcess) -> None:
    daemon.stop()
    database = daemon.state / FILE_NAME
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = database.read_bytes()
    for words in ([], ["--rebuild-from-docker"]):
        restart(daemon, *words)
        status = daemon.client.status()
        assert status.state == "degraded"
        assert "has schema 99" in status.problems[0]
        assert "Install the newer launcher" in status.problems[0]
        assert "rebuild" not in status.problems[0]
        with pytest.raises(RecoveryMode) as refused:
            daemon.submit("true")
        assert "newer launcher" in (refused.value.fix or "")
        assert daemon.stop() == 0
    assert database.read_bytes() == before
    assert not list(daemon.state.glob("*damaged*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("need = '{oops'", "a row is invalid"),
        ("time_limit = -58.0, image_id = 'sha256:1'", "a row is invalid"),
    ],
)
def test_a_row_that_makes_no_sense_is_damage_too(
    daemon: DaemonProcess, change: str, said: str
) -> None:
    hold = daemon.until(daemon.submit("sleep", "30", gpus=ALL), "RUNNING")
    bad, good = daemon.submit("true"), daemon.submit("true")
    daemon.stop()
    connection = sqlite3.connect(daemon.state / FILE_NAME)
    connection.execute(f"UPDATE jobs SET {change} WHERE id = ?", (bad.id,))
    connection.commit()
    connection.close()
    restart(daemon)
    assert said in daemon.client.status().problems[0]
    daemon.stop()
    restart(daemon, "--rebuild-from-docker")
    assert daemon.state_of(hold) == "RUNNING"
    assert daemon.state_of(good) == "PENDING"
    with pytest.raises(LauncherError):
        daemon.client.show(str(bad.id))
    assert "could not use 1 rows of jobs" in daemon.tail()
    assert daemon.submit("true").id > good.id + 900
