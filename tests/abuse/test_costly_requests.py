"""Requests that cost the daemon much more than they cost who sends them, each with its bound.

Time is the daemon's own processor time, memory its resident set: neither says anything of the
machine's other work.
"""

from __future__ import annotations

import dataclasses
import os
import pwd
from pathlib import Path

import pytest

from launcher.errors import LauncherError, TooLarge, UserError
from launcher.wire import ArrayRequest, GpuRequest, JobRequest, RegistryAuth, SelectRequest
from tests.conftest import MakeDaemon
from tests.integration.test_limits import answer, connected
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user

ALICE = pwd.getpwnam("games").pw_uid
MIB = 2**20
NONE = GpuRequest(kind="none")
LINE = "0123456789" * 10
LINES = 80_000


def cost(daemon: DaemonProcess) -> tuple[float, float]:
    """Return the daemon's processor time in seconds and its resident set in MiB."""
    assert daemon.process is not None
    place = Path(f"/proc/{daemon.process.pid}")
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    resident = next(
        line for line in (place / "status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return seconds, int(resident.split()[1]) / 1024


@pytest.mark.parametrize(
    "select",
    [
        SelectRequest(name="[" * 16_000),
        SelectRequest(refs=["0-99999"] * 20_000),
        SelectRequest(refs=["1[" + "0," * 100_000 + "0]"]),
        SelectRequest(user="x" * 200_000),
    ],
    ids=["a pattern", "references", "elements", "a name"],
)
def test_a_selection_that_cannot_be_meant_is_refused_before_it_costs_anything(
    daemon: DaemonProcess, select: SelectRequest
) -> None:
    before, _ = cost(daemon)
    with as_user(ALICE), pytest.raises(LauncherError) as refused:
        daemon.client._post("/v1/jobs/cancel", dataclasses.asdict(select))
    assert isinstance(refused.value, UserError | TooLarge)
    assert cost(daemon)[0] - before < 1.0


def matrix(elements: int, *, letters: int, times: int) -> JobRequest:
    """Return a matrix whose command has a value of so many letters so many times."""
    values = [{"a": "x" * letters} for _ in range(elements)]
    array = ArrayRequest(indices=list(range(elements)), matrix=values)
    command = ["echo", "${a}" * times]
    return JobRequest(name="m", image=BUSYBOX, gpus=NONE, command=command, array=array)


def test_a_matrix_that_would_be_a_thousand_times_its_size_is_refused(daemon: DaemonProcess) -> None:
    request = matrix(1000, letters=200, times=6000)
    before = cost(daemon)
    with as_user(ALICE), pytest.raises(UserError, match="1200000 characters, 131072 can be"):
        daemon.client.submit([request])
    after = cost(daemon)
    assert after[0] - before[0] < 1.0
    assert after[1] - before[1] < 100


def test_a_matrix_of_many_elements_near_the_limit_is_refused_by_what_all_would_take(
    daemon: DaemonProcess,
) -> None:
    request = matrix(5000, letters=20, times=5000)
    before = cost(daemon)
    with as_user(ALICE), pytest.raises(UserError, match="more than 64 MiB"):
        daemon.client.submit([request])
    assert cost(daemon)[1] - before[1] < 200


def test_the_tail_of_a_large_log_takes_no_more_memory_than_a_small_one(
    daemon: DaemonProcess,
) -> None:
    job = daemon.submit("sh", "-c", f"yes {LINE} | head -n {LINES}", gpus=NONE)
    daemon.done(job, timeout=60)
    lines = list(daemon.client.logs(str(job.id), tail=3))
    assert b"".join(f.data for f in lines).count(b"\n") == 3
    before = cost(daemon)[1]
    size = sum(len(frame.data) for frame in daemon.client.logs(str(job.id), tail=10**9))
    assert size == LINES * (len(LINE) + 1)
    assert cost(daemon)[1] - before < size / MIB


def test_credentials_of_jobs_that_are_not_queued_are_not_kept(daemon: DaemonProcess) -> None:
    auth = {f"r{n}.example": RegistryAuth(username="u", password="p" * 60_000) for n in range(32)}
    job = JobRequest(name="j", image=BUSYBOX, gpus=NONE)
    with as_user(ALICE):
        daemon.client.submit([job], credentials=auth, dry_run=True)
        before = cost(daemon)[1]
        for turn in range(10):
            named = {f"{turn}.{name}": given for name, given in auth.items()}
            daemon.client.submit([job], credentials=named, dry_run=True)
    assert cost(daemon)[1] - before < 10, "20 MB were sent"


@pytest.mark.parametrize("path", ["/v1/status", "/nowhere"])
def test_an_expectation_that_nobody_has_is_refused_in_json(
    daemon: DaemonProcess, path: str
) -> None:
    with connected(daemon) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nExpect: foo\r\n\r\n".encode())
        status, headers, error = answer(connection)
    assert (status, headers["content-type"].partition(";")[0]) == (417, "application/json")
    assert error["kind"] == "bad-request"


def test_many_names_and_a_pattern_that_tries_hard_hold_nobody_up(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon().start()
    jobs = [JobRequest(name="a" * 62, image=BUSYBOX, gpus=NONE, hold=True) for _ in range(3000)]
    with as_user(ALICE):
        daemon.client.submit(jobs)
        before, _ = cost(daemon)
        assert daemon.client.cancel_all(SelectRequest(name="*a" * 30 + "*b")) == []
    assert cost(daemon)[0] - before < 2.0
