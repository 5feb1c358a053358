"""The daemon ends in the middle: what runs goes on, what was promised is kept."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import threading

import pytest

from launcher.core.model.ids import labels
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.errors import DaemonUnreachable, LauncherError
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import ArrayRequest, GpuRequest, JobSpec
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess
from tests.support.wait import wait_until

ALL = GpuRequest(kind="profile", profile="1g.6gb", count=4)
COUNT = "i=0; while [ $i -lt %d ]; do echo $i; sleep 0.2; i=$((i+1)); done; exit %d"


def test_i6_a_killed_daemon_disturbs_no_running_job_and_learns_its_true_exit_code(
    daemon: DaemonProcess, docker: Containers
) -> None:
    job = daemon.until(daemon.submit("sh", "-c", COUNT % (40, 9)), "RUNNING")
    before = docker.inspect(job.container_id or "")
    assert before is not None
    daemon.kill()
    daemon.start()
    after = docker.inspect(job.container_id or "")
    assert after is not None
    assert (after.id, after.pid, after.running) == (before.id, before.pid, True)
    assert daemon.done(job).exit_code == 9
    assert daemon.output(job) == b"".join(b"%d\n" % i for i in range(40))


def test_a_job_that_ends_while_no_daemon_runs_keeps_its_exit_code_and_its_log(
    daemon: DaemonProcess, docker: Containers
) -> None:
    job = daemon.until(
        daemon.submit("sh", "-c", "echo said; sleep 1; echo more; exit 4"), "RUNNING"
    )
    daemon.kill()
    wait_until(lambda: not _running(docker, job.container_id), what="the container ends")
    daemon.start()
    assert daemon.done(job).exit_code == 4
    assert daemon.output(job) == b"said\nmore\n"


def _running(docker: Containers, container: str | None) -> bool:
    found = docker.inspect(container or "")
    return found is not None and found.running


def test_i5_every_acknowledged_submit_and_cancel_survives_kill_minus_nine(
    daemon: DaemonProcess,
) -> None:
    running = daemon.until(daemon.submit("sleep", "60", gpus=ALL), "RUNNING")
    kept = daemon.submit("true")
    cancelled = daemon.submit("true")
    daemon.client.cancel(str(cancelled.id))
    daemon.kill()
    daemon.start()
    assert daemon.state_of(kept) == "PENDING"
    assert daemon.client.show(str(cancelled.id)).job.outcome == "CANCELLED"
    daemon.client.cancel(str(running.id))
    daemon.kill()
    daemon.start()
    assert daemon.done(running).outcome == "CANCELLED"
    assert daemon.done(kept).outcome == "COMPLETED"


def test_i3_a_start_that_was_under_way_goes_on_under_its_number_and_runs_once(
    daemon: DaemonProcess, docker: Containers, sandbox: Sandbox
) -> None:
    """The daemon is killed as soon as its container is there: created, or already started."""
    starts = len(sandbox.hook.starts())
    store = daemon.client.status().store
    job = daemon.submit("echo", "once")
    wait_until(lambda: docker.ours(store), what="the container is created")
    daemon.kill()
    daemon.start()
    assert daemon.done(job).outcome == "COMPLETED"
    assert daemon.output(job) == b"once\n"
    assert len(sandbox.hook.starts()) - starts == 1
    assert daemon.client.show(str(job.id)).job.attempt == 1


def test_i7_a_container_of_ours_that_no_record_knows_is_removed_after_the_grace(
    daemon: DaemonProcess, docker: Containers
) -> None:
    store = daemon.client.status().store
    labels = {"launcher.store": store, "launcher.job": "999", "launcher.attempt": "1"}
    body = {"Image": "launcher/busybox:latest", "Cmd": ["sleep", "60"]}
    orphan = docker.create("orphan", body | {"Labels": labels})
    stranger = docker.create("stranger", body)
    docker.start(orphan)
    docker.start(stranger)
    wait_until(lambda: docker.inspect(orphan) is None, timeout=15, what="the orphan is removed")
    assert _running(docker, stranger), "a container without our label is never touched"


def test_a_restart_with_jobs_waiting_starts_them_in_their_order(daemon: DaemonProcess) -> None:
    blocker = daemon.until(daemon.submit("sleep", "2", gpus=ALL), "RUNNING")
    waiting = [daemon.submit("true", priority=p, gpus=ALL) for p in (10, 50, 30)]
    assert daemon.stop() == 0
    daemon.start()
    ended = [daemon.done(job) for job in [blocker, *waiting]]
    starts = [job.started_at or "" for job in ended]
    assert starts[0] < starts[2] < starts[3] < starts[1]


def test_elements_of_a_matrix_are_after_a_restart_what_they_were_before(
    daemon: DaemonProcess,
) -> None:
    """They are made again of what is stored: for a start, a list, `show` and a retry."""
    matrix = [{"a": "1"}, {"a": "$x ${b}", "b": "2"}]
    request = JobSpec(
        name="m",
        image=BUSYBOX,
        command=("sh", "-c", "echo $0 $E; exit 3", "${a}-${b}-$${a}"),
        environment={"E": "<${b}>"},
        hold=True,
        array=ArrayRequest(indices=[5, 7], matrix=matrix),
    )
    jobs = daemon.client.submit([request])
    daemon.kill()
    daemon.start()
    assert [one.command for one in daemon.client.jobs()] == [one.command for one in jobs]
    shown = [daemon.client.show(str(job.id)).spec for job in jobs]
    assert [one.command[3] for one in shown] == ["1--${a}", "$x ${b}-2-${a}"]
    said = [b"1--${a} <>\n", b"$x ${b}-2-${a} <2>\n"]
    for job in jobs:
        daemon.client.release(str(job.id))
    assert [daemon.done(job).exit_code for job in jobs] == [3, 3]
    assert [daemon.output(job) for job in jobs] == said
    daemon.client.retry([str(jobs[1].id)])
    assert daemon.done(jobs[1]).attempt == 2


def test_an_element_whose_template_a_rebuild_has_lost_fails_when_it_is_started(
    daemon: DaemonProcess,
) -> None:
    request = JobSpec(
        name="m",
        image=BUSYBOX,
        command=("echo", "${a}"),
        hold=True,
        array=ArrayRequest(indices=[0], matrix=[{"a": "1"}]),
    )
    (job,) = daemon.client.submit([request])
    daemon.stop()
    with contextlib.closing(sqlite3.connect(daemon.state / "launcher.db")) as database, database:
        database.execute("UPDATE arrays SET template = NULL, keys = NULL")
    daemon.start()
    shown = daemon.client.show(str(job.id))
    assert (shown.spec, shown.job.command) == (None, None)
    daemon.client.release(str(job.id))
    ended = daemon.done(job)
    assert ended.outcome == "FAILED"
    assert "the request of job" in (ended.message or "")


def test_stop_leaves_jobs_running_and_clients_are_told(daemon: DaemonProcess) -> None:
    job = daemon.until(daemon.submit("sh", "-c", COUNT % (8, 0)), "RUNNING")
    assert daemon.stop() == 0
    with pytest.raises(DaemonUnreachable):
        daemon.client.status()
    daemon.start()
    assert daemon.done(job).outcome == "COMPLETED"


def test_following_a_job_goes_on_over_a_restart_without_losing_or_repeating(
    daemon: DaemonProcess,
) -> None:
    job = daemon.until(daemon.submit("sh", "-c", COUNT % (20, 0)), "RUNNING")
    got: list[bytes] = []
    end: list[bytes] = []

    def follow() -> None:
        for frame in daemon.client.follow(str(job.id)):
            if frame.stream == 1:
                got.append(frame.data)
            elif frame.stream == 0:
                end.append(frame.data)

    thread = threading.Thread(target=follow)
    thread.start()
    wait_until(lambda: len(got) >= 3, what="some lines came")
    daemon.kill()
    daemon.start()
    thread.join(30)
    assert not thread.is_alive()
    assert got == [b"%d\n" % i for i in range(20)]
    assert json.loads(end[0])["outcome"] == "COMPLETED"


def test_docker_away_stops_new_starts_says_so_and_loses_nothing(
    make_daemon: MakeDaemon, docker_here: Sandbox
) -> None:
    daemon = make_daemon(docker_host=docker_here.docker_host).start()
    running = daemon.until(daemon.submit("sh", "-c", COUNT % (20, 6)), "RUNNING")
    docker_here.stop_dockerd(signal.SIGKILL)
    try:
        wait_until(lambda: daemon.client.status().state == "degraded", what="status says so")
        waiting = daemon.submit("true")
        assert daemon.state_of(running) == "RUNNING"
        kinds = {b.kind for b in daemon.client.show(str(waiting.id)).blockers}
        assert "EngineUnavailable" in kinds
    finally:
        docker_here.start_dockerd()
    assert daemon.done(running).exit_code == 6
    assert daemon.output(running) == b"".join(b"%d\n" % i for i in range(20))
    assert daemon.done(waiting).outcome == "COMPLETED"


def test_a_container_that_somebody_renamed_is_followed_to_its_end_and_cancelled_all_the_same(
    daemon: DaemonProcess, docker: Containers, sandbox: Sandbox
) -> None:
    api = DockerConnection(sandbox.docker_host).api()
    # Docker 26 cannot rename what is on a default network that is not there (--bridge=none).
    alone = {"network_mode": "none"}
    short = daemon.until(daemon.submit("sh", "-c", "sleep 2; exit 6", **alone), "RUNNING")
    long = daemon.until(daemon.submit("sleep", "60", **alone), "RUNNING")
    for number, job in enumerate((short, long)):
        api.rename(job.container_id, f"renamed-{number}")
    daemon.client.cancel(str(long.id))
    assert daemon.done(short).exit_code == 6
    assert daemon.done(long).outcome == "CANCELLED"
    wait_until(lambda: not docker.ours(daemon.client.status().store), what="both are removed")


def test_a_running_container_of_ours_that_no_attempt_has_keeps_its_slice_and_its_id(
    make_daemon: MakeDaemon, docker: Containers
) -> None:
    """As after a database was put back from a copy: what is newer is not on record."""
    daemon = make_daemon(config=CONFIG.replace("orphan_grace_seconds = 2.0", "")).start()
    store, uuid = daemon.client.status().store, daemon.client.slices()[0].uuid
    marks = labels(store, 41, 1, (uuid,), 0)
    request = {"Driver": "", "DeviceIDs": [uuid], "Capabilities": [["gpu"]]}
    body = {"Image": BUSYBOX, "Cmd": ["sleep", "60"], "Labels": marks}
    docker.create("copy", body | {"HostConfig": {"DeviceRequests": [request]}})
    docker.start("copy")
    wait_until(
        lambda: {s.uuid for s in daemon.client.slices() if s.state == "foreign"} == {uuid},
        what="its slice is in use",
    )
    wait_until(lambda: "was the database restored from a copy?" in daemon.tail())
    assert daemon.submit("true").id == 42


def test_a_database_that_is_deleted_under_the_daemon_takes_no_more_promises(
    daemon: DaemonProcess,
) -> None:
    kept = daemon.done(daemon.submit("true"))
    database = daemon.state / "launcher.db"
    aside = database.rename(daemon.state / "aside.db")
    with pytest.raises(LauncherError, match="moved or deleted"):
        daemon.submit("true")
    assert daemon.client.status().state == "degraded"
    aside.rename(database)
    wait_until(lambda: daemon.client.status().state == "healthy", what="it is there again")
    assert daemon.done(daemon.submit("true")).id > kept.id
