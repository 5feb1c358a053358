"""Registries that accept a connection and never answer: only who named them waits."""

from __future__ import annotations

import contextlib
import pwd
import socket
import time
from collections.abc import Iterator

import pytest

from launcher.errors import LauncherError
from launcher.wire import GpuRequest, JobSpec, LoginRequest, RegistryAuth
from tests.support.daemon import DaemonProcess, as_user
from tests.support.wait import wait_until

ALICE = pwd.getpwnam("games").pw_uid
BOB = pwd.getpwnam("news").pw_uid
NONE = GpuRequest(kind="none")
LOGINS = 40


@pytest.fixture
def registry() -> Iterator[str]:
    """The address of a registry that never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_forty_logins_to_one_keep_no_other_user_and_no_job_waiting(
    daemon: DaemonProcess, registry: str
) -> None:
    auth = RegistryAuth(username="u", password="p", identitytoken=None)
    head = "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
    body = (
        f'{{"registry": "{registry}", "auth": {{"username": "u", "password": "p",'
        ' "identitytoken": null}}'
    ).encode()
    assert LoginRequest(registry=registry, auth=auth)
    with contextlib.ExitStack() as stack:
        with as_user(ALICE):
            for _ in range(LOGINS):
                one = stack.enter_context(socket.socket(socket.AF_UNIX))
                one.connect(str(daemon.socket))
                one.sendall(head.format(len(body)).encode() + body)
        since = time.monotonic()
        with as_user(BOB):
            job = daemon.submit("true", gpus=NONE)
        assert daemon.done(job).outcome == "COMPLETED"
        with as_user(BOB):
            assert daemon.client.doctor()
        assert time.monotonic() - since < 20
        assert not any("threads" in problem for problem in daemon.client.status().problems)


def test_pulls_from_one_keep_no_other_users_pull_waiting(
    daemon: DaemonProcess, registry: str
) -> None:
    slow = [
        JobSpec(name=f"slow-{n}", image=f"{registry}/image-{n}:1", gpus=NONE, command=("true",))
        for n in range(8)
    ]
    with as_user(ALICE):
        jobs = daemon.client.submit(slow)
    gone = JobSpec(
        name="quick", image="127.0.0.1:9/gone:1", gpus=NONE, command=("true",), retries=None
    )
    with as_user(BOB):
        (quick,) = daemon.client.submit([gone])
    told = lambda: daemon.client.show(str(quick.id)).job.message  # noqa: E731
    wait_until(lambda: "cannot pull" in (told() or ""), timeout=20, what="its pull was tried")
    assert all(daemon.client.show(str(job.id)).job.state == "PENDING" for job in jobs)
    with as_user(ALICE):
        for job in jobs:
            with contextlib.suppress(LauncherError):
                daemon.client.cancel(job.id)
