"""A burst of one user's requests, all allowed: others' are not served behind it.

What is counted is the order of answers, as epoll keeps it, whatever the machine's speed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Iterator

import pytest

from launcher.wire import GpuRequest, JobSpec
from tests.abuse.test_replies_nobody_takes import BOB, held
from tests.integration.test_limits import ALICE, answer, connected
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user

BURST = 120
NONE = GpuRequest(kind="none")


@contextlib.contextmanager
def stopped(daemon: DaemonProcess) -> Iterator[None]:
    """Have everything that is sent meanwhile be there when the daemon goes on."""
    assert daemon.process is not None
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("path", ["/v1/slices", "/v1/jobs/{job}/follow"])
def test_a_burst_of_requests_is_answered_after_anothers_request(
    daemon: DaemonProcess, path: str
) -> None:
    with as_user(ALICE):
        daemon.client.submit([held(500)])
        (job,) = daemon.client.submit(
            [JobSpec(name="h", image=BUSYBOX, gpus=NONE, command=("true",), hold=True)]
        )
    asked = f"GET {path.format(job=job.id)} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        burst = [stack.enter_context(connected(daemon, ALICE)) for _ in range(BURST)]
        mine = stack.enter_context(connected(daemon, BOB))
        mine.sendall(b"GET /v1/slices HTTP/1.1\r\nHost: x\r\n\r\n")
        assert whole(mine)
        answers = stack.enter_context(select.epoll())
        for one in (*burst, mine):
            answers.register(one, select.EPOLLIN | select.EPOLLET)
        with stopped(daemon):
            for one in burst[:-1]:
                one.sendall(asked)
            mine.sendall(b"GET /v1/queue/head HTTP/1.1\r\nHost: x\r\n\r\n")
            for one in burst[-1:]:
                one.sendall(asked)
        readable = (select.select([one], [], [], 30)[0] for one in (*burst, mine))
        assert all(readable), "none is refused"
        order = [number for number, _ in answers.poll(0)]  # in the order in which they came
        assert whole(mine)
        assert order.index(mine.fileno()) < BURST * 3 / 4, "as many were answered before"


def whole(connection: socket.socket) -> bool:
    status, _, _ = answer(connection)
    return status == 200
