"""Requests that cost the daemon much more than they cost who sends them, each with its bound.

Time is the daemon's own processor time, memory its resident set: neither says anything of the
machine's other work.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pwd
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.errors import LauncherError, NotAllowed, TooLarge, UserError
from launcher.wire import ArrayRequest, GpuRequest, JobSpec, RegistryAuth, SelectRequest
from tests.conftest import MakeDaemon
from tests.integration.test_limits import answer, connected
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess, as_user

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


def matrix(elements: int, *, letters: int, times: int) -> JobSpec:
    """Return a matrix whose command has a value of so many letters so many times."""
    values = [{"a": "x" * letters} for _ in range(elements)]
    array = ArrayRequest(indices=list(range(elements)), matrix=values)
    command = ["echo", "${a}" * times]
    return JobSpec(name="m", image=BUSYBOX, gpus=NONE, command=command, array=array)


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


def on_disk(daemon: DaemonProcess) -> int:
    """Return how many bytes the database takes, with what waits in its log written into it."""
    connection = sqlite3.connect(daemon.state / "launcher.db", timeout=30)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    return sum(path.stat().st_size for path in daemon.state.glob("launcher.db*"))


def sent(request: JobSpec) -> int:
    return len(json.dumps(dataclasses.asdict(request)))


def test_what_a_matrix_at_the_limits_makes_of_itself_is_never_stored(
    make_daemon: MakeDaemon, tell: Callable[[object], None]
) -> None:
    """A quarter of a megabyte becomes 62 MiB of commands: of them nothing stays."""
    daemon = make_daemon().start()
    request = dataclasses.replace(matrix(500, letters=400, times=320), hold=True)
    assert sent(request) < 240_000
    before = on_disk(daemon), cost(daemon)[1]
    with as_user(ALICE):
        jobs = daemon.client.submit([request])
    assert len(jobs) == 500
    more = on_disk(daemon) - before[0]
    tell(f"a matrix: {sent(request)} bytes sent, {more} bytes stored")
    assert more < 2 * sent(request), "of each of 500 jobs there are a row and two lines as well"
    with as_user(ALICE):
        assert daemon.client.show(str(jobs[499].id)).spec.command == ("echo", "x" * 400 * 320)
        listed = daemon.client.jobs([f"{jobs[0].id}-{jobs[499].id}"])
        assert {len("".join(one.command or ())) for one in listed} == {4096}
    assert cost(daemon)[1] - before[1] < 300


def test_an_image_of_a_matrix_is_not_long_in_every_row(daemon: DaemonProcess) -> None:
    array = ArrayRequest(indices=[0, 1], matrix=[{"a": "x" * 4000}] * 2)
    request = JobSpec(name="m", image="${a}" * 30, gpus=NONE, array=array)
    with as_user(ALICE), pytest.raises(UserError, match="is not an image reference"):
        daemon.client.submit([request])


def test_requests_of_one_submit_together_take_no_more_memory_than_one(
    daemon: DaemonProcess,
) -> None:
    request = matrix(500, letters=400, times=320)
    before = cost(daemon)
    with as_user(ALICE), pytest.raises(UserError, match="more than 64 MiB"):
        daemon.client.submit([request] * 10)
    assert cost(daemon)[1] - before[1] < 300


def test_more_than_the_quota_of_bytes_is_refused_and_costs_nothing(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon(config=CONFIG + "[quota]\nqueued_bytes = 1000000\n").start()
    held = JobSpec(name="j", image=BUSYBOX, gpus=NONE, hold=True, command=("x" * 100_000,))
    with as_user(ALICE):
        first = daemon.client.submit([held] * 9)
        with pytest.raises(NotAllowed, match=r"quota queued_bytes of 1000000") as refused:
            daemon.client.submit([held])
        assert "launcher.toml" in (refused.value.fix or "")
    before = on_disk(daemon), cost(daemon)[1]
    for _ in range(20):
        with as_user(ALICE), pytest.raises(NotAllowed):
            daemon.client.submit([held] * 9)
    assert on_disk(daemon) - before[0] < 100_000
    assert cost(daemon)[1] - before[1] < 50
    daemon.stop()
    daemon.start()  # what is kept is counted again from the database
    with as_user(ALICE):
        with pytest.raises(NotAllowed):
            daemon.client.submit([held])
        daemon.client.cancel(str(first[0].id))
        daemon.client.submit([held])


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
    job = JobSpec(name="j", image=BUSYBOX, gpus=NONE)
    with as_user(ALICE):
        daemon.client.submit([job], credentials=auth, dry_run=True)
        before = cost(daemon)[1]
        for turn in range(10):
            named = {f"{turn}.{name}": given for name, given in auth.items()}
            daemon.client.submit([job], credentials=named, dry_run=True)
    assert cost(daemon)[1] - before < 15, "19 MB were sent"


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
    jobs = [JobSpec(name="a" * 62, image=BUSYBOX, gpus=NONE, hold=True) for _ in range(3000)]
    with as_user(ALICE):
        daemon.client.submit(jobs)
        before, _ = cost(daemon)
        assert daemon.client.cancel_all(SelectRequest(name="*a" * 30 + "*b")) == []
    assert cost(daemon)[0] - before < 2.0
