"""Clients that ask for much and read nothing."""

from __future__ import annotations

import contextlib
import pwd
import socket
import time

from launcher.wire import ArrayRequest, GpuRequest, JobSpec
from tests.abuse.test_costly_requests import cost
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user
from tests.support.wait import wait_until

ALICE = pwd.getpwnam("games").pw_uid
BOB = pwd.getpwnam("news").pw_uid
NONE = GpuRequest(kind="none")
JOBS = 10_000


def held(count: int) -> JobSpec:
    """Return an array of so many jobs that do not start."""
    array = ArrayRequest(indices=list(range(count)))
    command = ["true"]
    return JobSpec(name="many", image=BUSYBOX, gpus=NONE, command=command, array=array, hold=True)


def test_250_connections_that_ask_for_a_long_list_and_do_not_read_slow_nobody_else(
    daemon: DaemonProcess,
) -> None:
    with as_user(ALICE):
        daemon.client.submit([held(JOBS)])
    _, before = cost(daemon)
    with contextlib.ExitStack() as open_ones:
        with as_user(ALICE):
            for _ in range(250):
                one = open_ones.enter_context(socket.socket(socket.AF_UNIX))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.connect(str(daemon.socket))
                one.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n")
        slowest = 0.0
        with as_user(BOB):
            for _ in range(20):
                since = time.monotonic()
                daemon.client.status()
                slowest = max(slowest, time.monotonic() - since)
        assert slowest < 2.0
        assert cost(daemon)[1] - before < 60
        with as_user(BOB):
            assert len(daemon.client.jobs()) == JOBS
    wait_until(lambda: cost(daemon)[1] - before < 60, what="the daemon is small again")


def test_a_list_can_be_read_in_pages(daemon: DaemonProcess) -> None:
    with as_user(ALICE):
        made = daemon.client.submit([held(2500)])
    ids: list[int] = []
    while page := daemon.client._get(f"/v1/jobs?all=1&most=700&after={ids[-1] if ids else 0}"):
        assert len(page) <= 700
        ids += [one["id"] for one in page]
    assert ids == [job.id for job in made]


def test_requests_whose_clients_have_left_are_not_answered_one_after_the_other(
    daemon: DaemonProcess,
) -> None:
    with as_user(ALICE):
        daemon.client.submit([held(3000)])
        before, _ = cost(daemon)
        daemon.client.jobs(all=True)
        one = cost(daemon)[0] - before
        before, _ = cost(daemon)
        for _ in range(100):
            with socket.socket(socket.AF_UNIX) as left:
                left.connect(str(daemon.socket))
                left.sendall(b"GET /v1/jobs?all=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    with as_user(BOB):
        assert daemon.client.jobs(), "it is answered after all of those"
    assert cost(daemon)[0] - before < 20 * max(one, 0.05)
