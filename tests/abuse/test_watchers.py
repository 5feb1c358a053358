"""Clients that wait for changes: they cost nothing while nothing changes, and are bounded."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from launcher import Client
from launcher.errors import TooMany
from launcher.wire import GpuRequest, JobSpec
from tests.abuse.test_costly_requests import ALICE, cost
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user

SECONDS = 4.0
WATCHERS = 40
HELD = JobSpec(
    name="held", image=BUSYBOX, command=["true"], gpus=GpuRequest(kind="none"), hold=True
)


def idle(daemon: DaemonProcess, watchers: int) -> float:
    """The processor time of a daemon on which so many clients wait for some seconds."""
    count = daemon.client.changed()
    before, _ = cost(daemon)
    with ThreadPoolExecutor(max(watchers, 1)) as pool:
        calls = [
            pool.submit(Client(str(daemon.socket)).changed, count, SECONDS) for _ in range(watchers)
        ]
        daemon.client.changed(count, SECONDS)
        assert all(call.result() == count for call in calls)
    return cost(daemon)[0] - before


def test_clients_that_wait_cost_an_idle_daemon_next_to_nothing(daemon: DaemonProcess) -> None:
    daemon.client.changed(daemon.client.changed(), 1.0)
    alone, watched = idle(daemon, 0), idle(daemon, WATCHERS)
    assert watched - alone < 0.3, (alone, watched)


def test_however_much_changes_a_client_is_woken_a_few_times_a_second(
    daemon: DaemonProcess,
) -> None:
    over = threading.Event()

    def change() -> None:
        while not over.is_set():
            daemon.client.cancel(daemon.client.submit([HELD])[0].id)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        woken, count = 0, daemon.client.changed()
        until = time.monotonic() + 3.0
        while (left := until - time.monotonic()) > 0:
            now = daemon.client.changed(count, left)
            woken, count = woken + (now != count), now
    finally:
        over.set()
        thread.join()
    assert 3 <= woken <= 14


def test_a_user_waits_for_no_more_changes_at_once_than_streams_are_allowed(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon(config="[limits]\nstreams = 2\n").start()
    count = daemon.client.changed()
    with as_user(ALICE), ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(Client(str(daemon.socket)).changed, count, 3.0) for _ in range(2)]
        client = Client(str(daemon.socket))
        with pytest.raises(TooMany, match="streams"):
            while not all(call.done() for call in calls):
                client._transport._once("GET", "/v1/changes/wait?timeout=0", None, 5.0).close()
        assert [call.result() for call in calls]
