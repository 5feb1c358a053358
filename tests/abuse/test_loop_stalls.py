"""Whatever users do, no turn of the daemon's event loop computes for more than 50 ms.

Asserted is processor time of the loop's own thread, which says nothing of the machine's other work;
printed is also the time that passed, and how long ``status`` took meanwhile.
"""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from launcher.errors import Unavailable
from launcher.wire import ArrayRequest, GpuRequest, JobSpec
from tests.abuse.test_registries_that_hang import ALICE, BOB
from tests.abuse.test_registries_that_hang import registry as hanging
from tests.acceptance.test_pull_progress import gate, image, registry
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess, as_user
from tests.support.gate import Gate
from tests.support.looplag import FULL, measured, slow_nss
from tests.support.wait import wait_until

__all__ = ["gate", "hanging", "image", "registry"]

NONE = GpuRequest(kind="none")
MANY = 100_000 if FULL else 20_000
ENDED = 200_000
LOG_MIB = 256 if FULL else 64
READERS, FOLLOWERS, LOGINS = 10, 100, 20
LIMITS = CONFIG + "log_limit_mib = 300\n[limits]\njobs_per_minute = 1000000\nstreams = 1000\n"

Tell = Callable[[object], None]


def held(count: int, *, combined: bool = False) -> JobSpec:
    matrix = [{"lr": "0.01", "seed": str(number)} for number in range(count)] if combined else []
    array = ArrayRequest(indices=list(range(count)), matrix=matrix)
    return JobSpec(name="many", image=BUSYBOX, gpus=NONE, command=("true",), array=array, hold=True)


def asked(daemon: DaemonProcess, path: str) -> socket.socket:
    """Return a connection that has asked for something and not read the answer."""
    one = socket.socket(socket.AF_UNIX)
    one.connect(str(daemon.socket))
    one.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return one


def test_a_long_submit_a_long_list_and_what_the_collector_does_with_it(
    make_daemon: MakeDaemon, tell: Tell
) -> None:
    daemon = make_daemon(config=LIMITS).start()
    daemon.client.timeout = 300
    with measured(daemon, f"a submit of {MANY} jobs", tell):
        assert len(daemon.client.submit([held(MANY)])) == MANY
    with measured(daemon, f"ps of {MANY} jobs", tell):
        assert len(daemon.client.jobs()) == MANY
    with measured(daemon, f"a sweep of {MANY} combinations", tell):
        assert len(daemon.client.submit([held(MANY, combined=True)])) == MANY
    plain = [JobSpec(name=f"j{n}", image=BUSYBOX, gpus=NONE, hold=True) for n in range(5000)]
    with measured(daemon, "a submit of 5000 requests", tell):
        daemon.client.submit(plain)


def test_two_hundred_thousand_jobs_that_ended(make_daemon: MakeDaemon, tell: Tell) -> None:
    daemon = make_daemon(config=LIMITS).start()
    with as_user(ALICE):
        (job,) = daemon.client.submit(
            [JobSpec(name="old", image=BUSYBOX, gpus=NONE, command=("true",), hold=True)]
        )
        daemon.client.cancel(str(job.id))
    assert daemon.stop() == 0
    copy_job(daemon.state / "launcher.db", job.id, ENDED - 1)
    daemon.start()
    with measured(daemon, f"{ENDED} ended jobs", tell), as_user(BOB):
        (mine,) = daemon.client.submit([JobSpec(name="mine", image=BUSYBOX, gpus=NONE)])
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert daemon.client.status().jobs["CANCELLED"] == ENDED
            assert daemon.client.show("last").job.id == mine.id
            assert daemon.client.show("mine").job.id == mine.id
            daemon.client.jobs()


def copy_job(database: Path, job: int, times: int) -> None:
    """Add so many copies of an ended job."""
    with contextlib.closing(sqlite3.connect(database)) as db:
        names = [row[1] for row in db.execute("PRAGMA table_info(jobs)") if row[1] != "id"]
        columns = ", ".join(names)
        db.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            f" INSERT INTO jobs (id, {columns})"
            f" SELECT {job} + n.i, {columns} FROM jobs, n WHERE jobs.id = {job}",
            (times,),
        )
        db.commit()


def test_a_name_service_that_answers_after_five_seconds(
    make_daemon: MakeDaemon, tell: Tell, tmp_path: Path
) -> None:
    daemon = make_daemon(config=LIMITS)
    daemon.nursery = None  # a library is loaded before a program of its own
    daemon.extra, delay = slow_nss(tmp_path)
    daemon.start()
    delay.write_text("0")
    with as_user(ALICE):
        daemon.client.status()
    delay.write_text("5")
    with measured(daemon, "a name service that takes 5 s", tell) as found:
        with as_user(BOB):
            bob = asked(daemon, "/v1/slices")
        with as_user(ALICE):
            began = time.monotonic()
            for _ in range(20):
                daemon.client.slices()
            assert time.monotonic() - began < 4, "who was known a moment ago goes on"
        with bob:
            told = bob.recv(65536)  # one lookup after another, each takes 5 s
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"NSS" in told
    assert max(found.answers) < 4
    delay.write_text("0")
    with as_user(BOB):
        wait_until(lambda: answers(daemon), timeout=30, what="the other one is served again")


def answers(daemon: DaemonProcess) -> bool:
    try:
        return daemon.client.status().version != ""
    except Unavailable:
        return False


def test_twenty_registries_that_hang(daemon: DaemonProcess, hanging: str, tell: Tell) -> None:
    body = (
        f'{{"registry": "{hanging}", "auth": {{"username": "u", "password": "p",'
        ' "identitytoken": null}}'
    )
    head = f"POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with contextlib.ExitStack() as stack, measured(daemon, f"{LOGINS} hung registries", tell):
        with as_user(ALICE):
            for _ in range(LOGINS):
                one = stack.enter_context(socket.socket(socket.AF_UNIX))
                one.connect(str(daemon.socket))
                one.sendall((head + body).encode())
        with as_user(BOB):
            job = daemon.submit("true", gpus=NONE)
        assert daemon.done(job).outcome == "COMPLETED"


def test_a_hundred_who_follow_a_job_whose_image_is_pulled(
    make_daemon: MakeDaemon, image: str, gate: Gate, tell: Tell
) -> None:
    daemon = make_daemon(config=LIMITS).start()
    (job,) = daemon.client.submit([JobSpec(name="slow", image=image, gpus=NONE, command=("true",))])
    with contextlib.ExitStack() as stack, measured(daemon, f"{FOLLOWERS} followers", tell):
        for _ in range(FOLLOWERS):
            stack.enter_context(asked(daemon, f"/v1/jobs/{job.id}/follow"))
        for _ in range(20):
            daemon.submit("true", gpus=NONE, name="other")
        told = lambda: daemon.client.show(str(job.id)).blockers  # noqa: E731
        wait_until(lambda: "pulled" in str(told()), timeout=20, what="it is being pulled")
        gate.open()
        daemon.done(job, timeout=60)


def test_ten_who_read_a_long_log_and_connect_again_and_again(
    make_daemon: MakeDaemon, tell: Tell
) -> None:
    daemon = make_daemon(config=LIMITS).start()
    job = daemon.submit("sh", "-c", f"yes 0123456789 | head -c {LOG_MIB << 20}", gpus=NONE)
    assert daemon.done(job, timeout=200).outcome == "COMPLETED"
    path = f"/v1/jobs/{job.id}/logs"

    def read() -> None:
        for share in (4, 4, 1):
            left = (LOG_MIB << 20) // share // 2
            with asked(daemon, path) as one:
                while left > 0 and (data := one.recv(1 << 20)):
                    left -= len(data)

    with measured(daemon, f"{READERS} readers of {LOG_MIB} MiB", tell):
        readers = [threading.Thread(target=read) for _ in range(READERS)]
        for thread in readers:
            thread.start()
        for thread in readers:
            thread.join()
