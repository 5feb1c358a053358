"""Old jobs and logs go, by hand and by themselves; a damaged database in use is found."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher.errors import NoSuchJob, StaleRequest, UserError
from launcher.output.log_file import path_of
from launcher.store.connect import FILE_NAME
from launcher.wire import GpuRequest, JobSpec
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user
from tests.support.ended import copy_job
from tests.support.wait import wait_until

ALICE, BOB = 23001, 23002
NONE = GpuRequest(kind="none")
DAY = 86400.0


def held(name: str, after: list[str] | None = None) -> JobSpec:
    depends = {} if after is None else {"depends_on": dict.fromkeys(after, "afterany")}
    sleep = ["sleep", "600"]
    return JobSpec(name=name, image=BUSYBOX, gpus=NONE, command=sleep, hold=True, **depends)  # type: ignore[arg-type]


def configure(daemon: DaemonProcess, more: str) -> None:
    daemon.config.write_text(f"{daemon.config.read_text()}\n{more}")


def cancelled(daemon: DaemonProcess, name: str) -> int:
    (job,) = daemon.client.submit([held(name)])
    daemon.client.cancel(str(job.id))
    return job.id


def test_an_ended_job_is_deleted_with_its_log_and_its_id_says_so(daemon: DaemonProcess) -> None:
    job = daemon.done(daemon.submit("echo", "hello"))
    log = path_of(daemon.state / "logs", job.id, 1)
    wait_until(log.exists)
    assert daemon.client.prune(older_than=3600).jobs == 0
    assert daemon.client.prune(older_than=0, dry_run=True).jobs == 1
    assert daemon.client.show(str(job.id)).job.id == job.id
    assert daemon.client.prune(older_than=0).jobs == 1
    wait_until(lambda: not log.exists())
    day = time.strftime("%Y-%m-%d", time.gmtime())
    for ask in (daemon.client.show, daemon.client.wait, daemon.client.cancel):
        with pytest.raises(NoSuchJob, match=f"job {job.id} was pruned on {day}"):
            ask(str(job.id))
    with pytest.raises(UserError, match=f"job {job.id} ended and was pruned"):
        daemon.client.submit([held("later", [str(job.id)])])
    (after,) = daemon.client.submit([held("after")])
    assert after.id == job.id + 1


def test_a_user_deletes_the_users_own_jobs_and_an_admin_everybodys(daemon: DaemonProcess) -> None:
    with as_user(ALICE):
        mine = cancelled(daemon, "mine")
    with as_user(BOB):
        theirs = cancelled(daemon, "theirs")
        assert daemon.client.prune(older_than=0).jobs == 1
        assert daemon.client.prune(older_than=0).jobs == 0
        with pytest.raises(NoSuchJob):
            daemon.client.show(str(theirs))
    assert daemon.client.show(str(mine)).job.id == mine
    assert daemon.client.prune(older_than=0).jobs == 1


def test_a_job_that_depended_on_a_deleted_one_is_tried_again_only_where_its_end_does_not_matter(
    daemon: DaemonProcess,
) -> None:
    first = cancelled(daemon, "first")
    for how in ("afternotok", "afterany"):
        wants = dataclasses.replace(held("wants"), depends_on={str(first): how})
        (job,) = daemon.client.submit([wants])
        daemon.client.cancel(str(job.id))
    last = int(job.id)
    daemon.stop()
    with contextlib.closing(sqlite3.connect(daemon.state / FILE_NAME)) as db:
        db.execute("UPDATE history SET at = at - 3600 WHERE job = ?", (first,))
        db.execute("UPDATE jobs SET submitted_at = submitted_at - 3600 WHERE id = ?", (first,))
        db.commit()
    daemon.start()
    assert daemon.client.prune(older_than=1800).jobs == 1
    with pytest.raises(StaleRequest, match=f"job {first}, on which it depends, was pruned"):
        daemon.client.retry([str(last - 1)])
    assert [job.id for job in daemon.client.retry([f"{last - 1}-{last}"])][-1:] == [last]


def test_a_job_that_is_named_and_an_array_that_has_not_ended_stay(daemon: DaemonProcess) -> None:
    named = cancelled(daemon, "named")
    (waits,) = daemon.client.submit([held("waits", [str(named)])])
    assert daemon.client.prune(older_than=0).jobs == 0
    daemon.client.cancel(str(waits.id))
    assert daemon.client.prune(older_than=0).jobs == 2


def test_only_logs_go_where_only_logs_are_meant_and_reading_one_says_so_at_once(
    daemon: DaemonProcess,
) -> None:
    job = daemon.done(daemon.submit("echo", "hello"))
    log = path_of(daemon.state / "logs", job.id, 1)
    wait_until(log.exists)
    os.utime(log, (time.time() - 3 * DAY,) * 2)
    assert daemon.client.prune(older_than=2 * DAY, logs=True, dry_run=True).logs == 1
    assert log.exists()
    found = daemon.client.prune(older_than=2 * DAY, logs=True)
    assert (found.logs, found.jobs) == (1, 0)
    assert not log.exists()
    told = daemon.cli("logs", str(job.id))
    assert (told.stdout, told.returncode) == ("", 0)
    assert "was deleted" in told.stderr


def test_a_live_jobs_log_stays_however_old(daemon: DaemonProcess) -> None:
    job = daemon.until(daemon.submit("sh", "-c", "echo begun; sleep 60"), "RUNNING")
    log = path_of(daemon.state / "logs", job.id, 1)
    wait_until(log.exists)
    os.utime(log, (1000.0, 1000.0))
    assert daemon.client.prune(older_than=3600, logs=True).logs == 0
    assert log.exists()
    daemon.client.cancel(str(job.id), now=True)


def test_what_is_too_old_goes_by_itself_and_the_largest_room_for_logs_is_kept(
    daemon: DaemonProcess,
) -> None:
    old = cancelled(daemon, "old")
    daemon.stop()
    with contextlib.closing(sqlite3.connect(daemon.state / FILE_NAME)) as db:
        db.execute("UPDATE history SET at = at - 200 * 86400")
        db.execute("UPDATE jobs SET submitted_at = submitted_at - 200 * 86400")
        db.commit()
    for number, days in ((900, 3.0), (901, 2.0), (902, 0.1)):
        path = path_of(daemon.state / "logs", number, 1)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(bytes(600_000))
        os.utime(path, (time.time() - days * DAY,) * 2)
    configure(daemon, '[history]\nevery = "1s"\nmax_logs = "1m"\n')
    daemon.start()
    wait_until(lambda: not (daemon.state / "logs/0/901.1.log").exists())
    assert (daemon.state / "logs/0/902.1.log").exists()
    with pytest.raises(NoSuchJob, match="was pruned on"):
        daemon.client.show(str(old))


def test_a_retry_and_a_prune_at_the_same_time_never_contradict(daemon: DaemonProcess) -> None:
    first = cancelled(daemon, "many")
    daemon.stop()
    copy_job(daemon.state / FILE_NAME, first, 300)
    daemon.start()
    script = "from launcher import Client; import sys; Client(sys.argv[1]).prune(older_than=0)"
    pruning = subprocess.Popen([sys.executable, "-c", script, str(daemon.socket)])
    retried = 0
    for number in range(first + 300, first, -7):
        with contextlib.suppress(NoSuchJob, StaleRequest):
            retried += len(daemon.client.retry([str(number)]))
    assert pruning.wait(60) == 0
    jobs = daemon.client.status().jobs
    left = jobs.pop("CANCELLED", 0)
    assert sum(jobs.values()) == retried, "none of them was deleted, none is there twice"
    assert daemon.client.prune(older_than=0).jobs == left


def test_damage_of_a_database_in_use_ends_the_daemon_and_the_next_start_says_so(
    daemon: DaemonProcess,
) -> None:
    first = cancelled(daemon, "many")
    daemon.stop()
    copy_job(daemon.state / FILE_NAME, first, 3000)
    path = daemon.state / FILE_NAME
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        leaves = "SELECT pageno FROM dbstat WHERE name = 'history' AND pagetype = 'leaf'"
        (page,) = db.execute(f"{leaves} ORDER BY path LIMIT 1 OFFSET 5").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)  # a start reads the last one alone
        file.write(b"\xa5" * 4096)
    configure(daemon, '[history]\nevery = "1s"\n')
    daemon.start()
    assert daemon.process is not None
    assert daemon.process.wait(30) == 1
    assert (daemon.state / "check-failed").exists()
    daemon.start()
    status = json.loads(daemon.cli("status", "-o", "json").stdout)
    assert "damaged" in " ".join(status["problems"])
    assert Path(daemon.state / "check-failed").exists(), "until it is rebuilt"
