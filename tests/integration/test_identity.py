"""Who may do what, as the kernel reports the caller; and what an ordinary user's container is."""

from __future__ import annotations

import grp
import os
import pwd
import threading

import pytest

from launcher import Client
from launcher.engine.containers import Containers
from launcher.errors import NoSuchJob, NotAllowed
from launcher.wire import GpuRequest, JobSpec, Mount
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user

ALICE, BOB = (pwd.getpwnam(name) for name in ("games", "news"))
NONE = GpuRequest(kind="none")


def request(*command: str, **fields: object) -> JobSpec:
    fields = {"name": "mine", "image": BUSYBOX, "gpus": NONE} | fields
    return JobSpec(command=list(command), **fields)  # type: ignore[arg-type]


def submit_as(daemon: DaemonProcess, uid: int, *command: str, **fields: object) -> int:
    with as_user(uid):
        return daemon.client.submit([request(*command, **fields)])[0].id


def test_a_job_belongs_to_the_uid_that_the_socket_reports(daemon: DaemonProcess) -> None:
    job = submit_as(daemon, ALICE.pw_uid, "true")
    assert daemon.client.show(str(job)).job.user == ALICE.pw_name


def test_another_user_may_neither_cancel_nor_read_nor_signal(daemon: DaemonProcess) -> None:
    job = str(submit_as(daemon, ALICE.pw_uid, "sleep", "30"))
    with as_user(BOB.pw_uid):
        for forbidden in (
            lambda: daemon.client.cancel(job),
            lambda: daemon.client.signal(job, "SIGINT"),
            lambda: list(daemon.client.logs(job)),
            lambda: list(daemon.client.follow(job)),
        ):
            with pytest.raises(NotAllowed, match=ALICE.pw_name):
                forbidden()
    with as_user(ALICE.pw_uid):
        daemon.client.cancel(job)


def test_how_long_a_users_jobs_took_is_not_told_to_others_by_a_replay(
    daemon: DaemonProcess,
) -> None:
    hers = submit_as(daemon, ALICE.pw_uid, "true")
    daemon.client.wait(str(hers), timeout=30)

    def makespan(uid: int) -> float:
        limited = [request("true", time_limit=500.0)]
        with as_user(uid):
            (found,) = daemon.client.queue.whatif(limited, [], history=True)
        return found.makespan

    assert makespan(ALICE.pw_uid) < 60
    assert makespan(BOB.pw_uid) >= 500
    assert makespan(0) >= 500, "root's own jobs of that name"
    running = submit_as(daemon, ALICE.pw_uid, "sleep", "60", time_limit=400.0)
    for uid, told in ((BOB.pw_uid, (300, 410)), (ALICE.pw_uid, (0, 60)), (0, (0, 60))):
        with as_user(uid):
            (found,) = daemon.client.queue.whatif(None, [], history=True)
        assert told[0] <= found.makespan <= told[1], uid
    daemon.client.cancel(str(running))


def test_another_user_sees_that_a_job_is_there_and_nothing_private(daemon: DaemonProcess) -> None:
    job = submit_as(daemon, ALICE.pw_uid, "sleep", "20", environment={"TOKEN": "s3cret"})
    with as_user(BOB.pw_uid):
        shown = daemon.client.show(str(job))
        (listed,) = daemon.client.jobs([str(job)])
        with pytest.raises(NoSuchJob):
            daemon.client.show("mine")
    assert shown.job.user == listed.user == ALICE.pw_name
    assert (listed.name, listed.image, listed.command, listed.container_id) == (None,) * 4
    assert (shown.spec, shown.image_id, shown.attempts, shown.events) == (None, None, [], [])
    daemon.client.cancel(str(job))


def test_root_may_cancel_and_read_everything(daemon: DaemonProcess) -> None:
    job = str(submit_as(daemon, ALICE.pw_uid, "sh", "-c", "echo hers; sleep 30"))
    frames = daemon.client.logs(job, follow=True)
    assert next(iter(frames)).data == b"hers\n"
    daemon.client.cancel(job)
    assert daemon.client.wait(job, timeout=20).outcome == "CANCELLED"


def test_an_ordinary_users_container_is_confined_to_his_uid(
    daemon: DaemonProcess, docker: Containers
) -> None:
    script = (
        "id -u; id -g; echo $HOME $USER $LOGNAME; touch $HOME/a /tmp/b && echo wrote;"
        "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status"
    )
    job = submit_as(daemon, ALICE.pw_uid, "sh", "-c", script)
    with as_user(ALICE.pw_uid):
        daemon.client.wait(str(job), timeout=20)
        out = b"".join(f.data for f in daemon.client.logs(str(job)) if f.stream == 1).decode()
    lines = out.split("\n")
    assert lines[:2] == [str(ALICE.pw_uid), str(ALICE.pw_gid)]
    assert lines[2] == f"/home/{ALICE.pw_name} {ALICE.pw_name} {ALICE.pw_name}"
    assert lines[3] == "wrote"
    status = dict(line.split(":\t") for line in lines[4:] if line)
    assert status["CapEff"] == status["CapBnd"] == "0" * 16
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize(
    ("uid", "expected"), [(ALICE.pw_uid, ALICE.pw_gid), (54321, 65534)], ids=["named", "nameless"]
)
def test_a_group_that_a_process_changed_to_is_not_in_the_container(
    daemon: DaemonProcess, uid: int, expected: int
) -> None:
    mail = grp.getgrnam("mail").gr_gid
    with as_user(uid, mail):
        (job,) = daemon.client.submit([request("sh", "-c", "id -g; id -G")])
    assert daemon.output(job).decode().split() == [str(expected)] * 2


def test_an_ordinary_users_mounts_are_refused_and_roots_are_not(
    daemon: DaemonProcess, tmp_path: object
) -> None:
    place = str(tmp_path)
    mounts = [Mount(source=place, target="/data")]
    with pytest.raises(NotAllowed, match=r"\(rule mount-roots\)"):
        submit_as(daemon, ALICE.pw_uid, "true", volumes=mounts)
    job = submit_as(daemon, 0, "sh", "-c", "echo x > /data/file", volumes=mounts)
    assert daemon.client.wait(str(job), timeout=20).outcome == "COMPLETED"
    assert os.listdir(place) and "file" in os.listdir(place)  # noqa: PTH208


def test_an_ordinary_user_may_not_stop_the_daemon(daemon: DaemonProcess) -> None:
    with as_user(ALICE.pw_uid), pytest.raises(NotAllowed):
        daemon.client.stop()
    assert daemon.client.status().state == "healthy"


def test_a_uid_without_a_name_is_served_and_shown_as_a_number(daemon: DaemonProcess) -> None:
    with as_user(54321):
        job = daemon.submit("id", "-u", gpus=GpuRequest(kind="none"))
        assert daemon.done(job).user == "54321"
        assert daemon.output(job) == b"54321\n"
    with as_user(ALICE.pw_uid):
        assert daemon.client.show(str(job.id)).job.command is None


def test_two_users_connecting_at_once_are_never_taken_for_each_other(
    daemon: DaemonProcess,
) -> None:
    """Each child is one user and asks many times while the other does."""
    rounds = 25
    start = threading.Event()
    wrong = os.pipe()
    children = []
    for user in (ALICE, BOB):
        pid = os.fork()
        if pid == 0:
            bad = 0
            with as_user(user.pw_uid):
                for _ in range(rounds):
                    (job,) = Client(str(daemon.socket)).submit([request("true")], dry_run=True)
                    bad += job.user != user.pw_name
            os.write(wrong[1], bytes([bad]))
            os._exit(0)
        children.append(pid)
    start.set()
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
    assert os.read(wrong[0], 2) == b"\0\0"
    os.close(wrong[0])
    os.close(wrong[1])
