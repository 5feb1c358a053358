"""Disks that are full: what is acknowledged is kept, what cannot be kept is refused or said."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import Client
from launcher.engine.containers import Containers
from launcher.errors import DaemonUnreachable, LauncherError, ReadOnlyState
from launcher.store.connect import FILE_NAME
from launcher.wire import NOTE, GpuRequest, JobSpec
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess
from tests.support.engine import let_go
from tests.support.small_disk import SmallDisk
from tests.support.wait import wait_until

ALL = GpuRequest(kind="profile", profile="1g.6gb", count=4)
NO_RESERVE = f"{CONFIG}disk_reserve_mib = 0\n"
LOUD = (
    "while [ ! -e /tmp/go ]; do head -c 65536 /dev/zero | tr '\\0' x; echo; sleep 0.02; done; "
    "exit 5"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "disk", size="12m") as made:
        yield made


def test_a_burst_of_submits_while_the_disk_fills_keeps_exactly_what_was_acknowledged(
    make_daemon: MakeDaemon, disk: SmallDisk
) -> None:
    """Sixteen clients at once; every job has a name of its own, and a spec of some size."""
    daemon = make_daemon(config=NO_RESERVE)
    daemon.state = disk.path / "state"
    daemon.start()
    daemon.until(daemon.submit("sleep", "60", gpus=ALL), "RUNNING")
    acknowledged: dict[str, int] = {}
    refused: set[str] = set()
    told: set[str] = set()
    unknown: set[str] = set()

    def client(number: int) -> None:
        asking = Client(str(daemon.socket), timeout=30)
        for turn in range(400):
            name = f"n{number}-{turn}"
            job = JobSpec(name=name, image=BUSYBOX, environment={"X": "y" * 20_000}, gpus=ALL)
            try:
                acknowledged[name] = asking.submit([job])[0].id
            except DaemonUnreachable:
                unknown.add(name)
                return
            except LauncherError as error:
                assert isinstance(error, ReadOnlyState), error
                refused.add(name)
                told.add(error.message)
                if turn > 3:
                    return

    clients = [threading.Thread(target=client, args=(n,)) for n in range(16)]
    for one in clients:
        one.start()
    for one in clients:
        one.join(60)
    assert refused, "the disk has filled"
    assert len(acknowledged) > 50
    assert not unknown
    assert all("disk is full" in message for message in told), told
    daemon.kill()
    daemon.start(wait=False)
    assert daemon.process is not None
    ended = _ended_or_answers(daemon)
    disk.resize("64m")  # there is space again
    if ended:
        daemon.start()
    known = {job.name: job.id for job in daemon.client.jobs(all=True)}
    assert acknowledged.items() <= known.items()
    assert not refused & known.keys()
    wait_until(lambda: daemon.client.status().state == "healthy", what="the daemon has healed")
    assert daemon.submit("true").id > max(acknowledged.values())


def _ended_or_answers(daemon: DaemonProcess) -> bool:
    """Wait until a daemon on a full disk has refused to start, or serves what it has."""
    process = daemon.process
    assert process is not None

    def settled() -> bool:
        try:
            return process.poll() is not None or bool(daemon.client.status())
        except LauncherError:
            return False

    wait_until(settled, timeout=20, what="the daemon answers, or says why not")
    return process.poll() is not None


def test_a_full_log_directory_costs_the_log_and_never_the_job(
    make_daemon: MakeDaemon, docker: Containers, tmp_path: Path
) -> None:
    daemon = make_daemon()
    (daemon.state / "logs").mkdir(parents=True)
    with SmallDisk(daemon.state / "logs") as disk:
        daemon.start()
        loud = daemon.until(daemon.submit("sh", "-c", LOUD), "RUNNING")
        frames = []
        following = threading.Thread(
            target=lambda: frames.extend(daemon.client.logs(str(loud.id), follow=True))
        )
        following.start()
        wait_until(disk.is_full, timeout=20, what="the disk fills")
        disk.fill()
        quiet = daemon.done(daemon.submit("echo", "said"))
        assert quiet.outcome == "COMPLETED", "jobs go on"
        assert daemon.state_of(loud) == "RUNNING"
        let_go(docker, loud.container_id or "")
        assert daemon.done(loud).exit_code == 5
        following.join(20)
        assert not following.is_alive()
        # A note fits where the last page of the file has space left.
        told = re.compile("output is missing here|the rest of the log is lost")
        assert any(told.match(frame.data.decode()) for frame in frames if frame.stream == NOTE)
        for job in (loud, quiet):
            for words in ([], ["-f"]):
                shown = daemon.cli("logs", *words, str(job.id), timeout=20)
                assert shown.returncode == 0
                assert told.search(shown.stderr), job.id
        assert f"job {quiet.id} attempt 1: the log of" in daemon.tail()
        wait_until(lambda: not docker.ours(daemon.client.status().store), what="all is removed")
        daemon.kill()
        daemon.start()
        shown = daemon.cli("logs", "-f", str(quiet.id), timeout=20)
        assert shown.stderr.count("the rest of the log is lost") == 1, "also a new daemon knows"
        disk.resize("8m")
        assert daemon.output(daemon.done(daemon.submit("echo", "again"))) == b"again\n"
        daemon.kill()


def test_a_database_that_another_program_has_locked_makes_the_daemon_read_only_for_a_while(
    daemon: DaemonProcess,
) -> None:
    """SQLite is given five seconds; who asks meanwhile is refused, or answered with the truth."""
    running = daemon.until(daemon.submit("sleep", "60", gpus=ALL), "RUNNING")
    other = sqlite3.connect(daemon.state / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ReadOnlyState) as refused:
        daemon.submit("true", name="refused")
    assert "locked" in refused.value.message
    assert "locked" in daemon.client.status().problems[0]
    with pytest.raises(ReadOnlyState):
        daemon.client.cancel(str(running.id))
    assert daemon.state_of(running) == "RUNNING"
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: daemon.client.status().state == "healthy", timeout=20, what="it heals")
    kept = daemon.submit("true", name="kept")
    daemon.kill()
    daemon.start()
    names = {job.name for job in daemon.client.jobs(all=True)}
    assert "kept" in names
    assert "refused" not in names
    assert daemon.state_of(kept) == "PENDING"


def test_what_ends_while_the_disk_is_full_is_recorded_as_soon_as_it_is_not(
    make_daemon: MakeDaemon, docker: Containers, disk: SmallDisk
) -> None:
    daemon = make_daemon()
    daemon.state = disk.path / "state"
    daemon.config.write_text(f"{CONFIG}disk_reserve_mib = 1\n")
    daemon.start()
    waits = "while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 6"
    job = daemon.until(daemon.submit("sh", "-c", waits, gpus=ALL), "RUNNING")
    disk.fill()
    with pytest.raises(ReadOnlyState) as refused:
        daemon.submit("true")
    assert "free" in refused.value.message
    wait_until(lambda: daemon.client.status().state == "degraded", what="status says so")
    let_go(docker, job.container_id or "")
    assert daemon.done(job).exit_code == 6, "the end of a job still finds room"
    slices = daemon.client.slices
    wait_until(lambda: {s.state for s in slices()} == {"free"}, what="its slices are given back")
    disk.free()
    wait_until(lambda: daemon.client.status().state == "healthy", timeout=15, what="it is well")
    assert daemon.done(daemon.submit("true")).outcome == "COMPLETED"
