"""Jobs from Python against the daemon itself: ``Client``, ``Job`` and ``AsyncClient``."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from launcher import AsyncClient, Client, errors
from launcher.wire import ArrayRequest
from tests.acceptance.shell import Shell
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user
from tests.support.wait import wait_until

SPEC = "A30:1g.6gb*4"
SLICE = "1g.6gb"
WAITS = 1000

NASTY = [
    "", " a  b ", "'", '"', "\\n", "\n", "line\nline\n", "\r\n\t", "${value}", "$${value}", "$",
    "{}", "{{x}}", "{value}", "$HOME", "$(id)`id`", "%s", "é日本語🎉", "-n", "--help", "*",
]  # fmt: skip


@pytest.fixture
def client(shared: DaemonProcess, launch: Shell) -> Client:
    """A client of the file's daemon; what a test leaves behind is cancelled."""
    result = Client(str(shared.socket))
    assert result.status().version
    return result


def sockets() -> int:
    """How many sockets this process has open."""
    links = [fd.readlink() for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    return sum(str(link).startswith("socket:") for link in links)


async def _lines(lines: AsyncIterator[str]) -> list[str]:
    return [line async for line in lines]


def test_a_job_runs_and_its_lines_are_followed(client: Client) -> None:
    command = ["sh", "-c", "echo one; echo two >&2; printf three; exit 3"]
    job = client.run(BUSYBOX, command, profile=SLICE)
    assert sorted(job.logs(follow=True)) == ["one", "three", "two"]
    view = job.wait()
    assert (view.outcome, view.exit_code, job.state) == ("FAILED", 3, "FAILED")
    assert job.output() == "one\nthree"
    with pytest.raises(errors.JobFailed) as caught:
        job.result()
    assert (caught.value.job_id, caught.value.job_exit_code) == (job.id, 3)
    assert sorted(caught.value.last_lines) == ["one", "three", "two"]


def test_a_job_is_held_explained_released_and_cancelled(client: Client) -> None:
    job = client.run(BUSYBOX, "sleep 100", profile=SLICE, hold=True, stop_grace_period=0.0)
    assert job.state == "PENDING"
    assert job.why()
    job.release()
    wait_until(lambda: job.state == "RUNNING", what="the job runs")
    assert job.wait(0.0).outcome is None
    job.cancel()
    assert job.wait().outcome == "CANCELLED"


def test_a_with_block_waits_and_an_exception_in_it_cancels(client: Client) -> None:
    with client.run(BUSYBOX, "echo hello", profile=SLICE) as job:
        pass
    assert job.state == "COMPLETED"
    with (
        pytest.raises(ZeroDivisionError),
        client.run(BUSYBOX, "sleep 100", profile=SLICE, stop_grace_period=0.0) as job,
    ):
        _ = 1 / 0
    assert job.wait().outcome == "CANCELLED"


def test_an_array_is_one_job_with_elements(client: Client) -> None:
    command = ["sh", "-c", "exit $LAUNCHER_ARRAY_INDEX"]
    job = client.run(BUSYBOX, command, array=ArrayRequest(indices=[0, 4, 2]))
    assert job.wait().exit_code == 4
    assert sorted(one.wait().exit_code or 0 for one in job.elements()) == [0, 2, 4]
    assert len(client.job(job.id).elements()) == 3
    assert client.job(f"{job.id}[4]").view().exit_code == 4
    with pytest.raises(errors.JobFailed, match=rf"^job {job.id}\[4\] is FAILED"):
        job.result()


def test_a_map_is_one_array_and_its_values_arrive_exactly(client: Client) -> None:
    results = client.map(BUSYBOX, ["printf", "%s", "{}"], NASTY)
    assert results.job is not None
    assert {view.array["id"] for view in client.jobs([results.job.id]) if view.array} == {
        results.job.id
    }
    assert [(one.value, one.output()) for one in results] == [(v, v) for v in NASTY]


def test_a_map_of_a_function_passes_its_words_exactly(client: Client) -> None:
    results = client.map(
        BUSYBOX, lambda value: ["printf", "%s|%s", "${word_2}", f"{value}{{}}"], NASTY[:8]
    )
    assert {one.value: one.output() for one in results.as_completed()} == {
        value: f"${{word_2}}|{value}{{}}" for value in NASTY[:8]
    }


def test_failures_of_a_map_are_results(client: Client) -> None:
    command = ["sh", "-c", "echo $0; exit $1", "{name}", "{code}"]
    values = [{"name": "a", "code": 0}, {"name": "b", "code": 5}]
    first, second = client.map(BUSYBOX, command, values, profile=SLICE, max_parallel=1)
    first.check()
    assert (first.output(), second.output(), second.exit_code) == ("a\n", "b\n", 5)
    with pytest.raises(errors.JobFailed, match=r"exit code 5; its output ends with:\n    b$"):
        second.check()


def test_more_values_than_a_request_has_room_for_is_an_error_that_says_so(client: Client) -> None:
    with pytest.raises(errors.LauncherError) as caught:
        client.map(BUSYBOX, "echo {}", ["x" * 2**20] * 9)
    assert "MiB" in str(caught.value), str(caught.value)
    with pytest.raises(errors.UserError, match="an array has 100000 elements at most"):
        client.map(BUSYBOX, "echo {}", range(100_001))


def test_the_asyncio_client_runs_follows_and_maps(client: Client) -> None:
    async def scenario() -> None:
        here = AsyncClient(client.socket)
        async with await here.run(BUSYBOX, "echo hello", profile=SLICE) as job:
            assert [line async for line in job.logs(follow=True)] == ["hello"]
        results = await here.map(BUSYBOX, ["printf", "%s", "{}"], NASTY[:6])
        assert [await one.output() async for one in results] == NASTY[:6]
        failed = await here.run(BUSYBOX, ["sh", "-c", "echo no; exit 2"])
        with pytest.raises(errors.JobFailed, match=r"exit code 2; its output ends with:\n    no"):
            await failed.result()

    asyncio.run(scenario())


def test_many_tasks_wait_over_one_connection(
    client: Client, shared: DaemonProcess, record_property: Callable[[str, object], None]
) -> None:
    async def scenario() -> float:
        here = AsyncClient(str(shared.socket))
        results = await here.map(BUSYBOX, "true {}", range(WAITS), hold=True)
        assert results.job is not None
        before = sockets(), threading.active_count()
        waits = [asyncio.create_task(job.wait()) for job in results.jobs]
        most = 0
        for _ in range(20):
            await asyncio.sleep(0.05)
            most = max(most, sockets() - before[0])
        assert most <= 1
        assert threading.active_count() == before[1]
        began = time.monotonic()
        await results.cancel()
        views = await asyncio.gather(*waits)
        assert {view.outcome for view in views} == {"CANCELLED"}
        return time.monotonic() - began

    took = asyncio.run(scenario())
    record_property("seconds", took)
    assert took < 60


def test_a_users_waits_and_streams_stay_within_the_limits(shared: DaemonProcess) -> None:
    notices: list[str] = []

    async def scenario() -> None:
        here = AsyncClient(str(shared.socket), notice=notices.append)
        results = await here.map(BUSYBOX, "true {}", range(WAITS), hold=True)
        waits = [asyncio.create_task(job.wait()) for job in results.jobs]
        job = await here.run(BUSYBOX, "echo hello")
        logs = await asyncio.gather(*(_lines(job.logs(follow=True)) for _ in range(200)))
        assert logs == [["hello"]] * 200
        await results.cancel()
        assert {view.outcome for view in await asyncio.gather(*waits)} == {"CANCELLED"}

    with as_user(4321):
        asyncio.run(scenario())
    assert notices == []


def test_waits_and_maps_outlive_a_restart_of_the_daemon(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon().start()
    client = Client(str(daemon.socket))
    command = ["sh", "-c", "echo $0; until [ -e /tmp/never ]; do sleep 1; done", "{}"]
    results = client.map(BUSYBOX, command, [1, 2, 3], profile=SLICE, stop_grace_period=0.0)
    wait_until(lambda: all(job.state == "RUNNING" for job in results.jobs), timeout=30)
    found: list[str | None] = []
    waiter = threading.Thread(target=lambda: found.extend(one.outcome for one in results))
    waiter.start()

    async def scenario() -> None:
        here = AsyncClient(str(daemon.socket))
        waits = [asyncio.create_task(here.wait(job.id)) for job in results.jobs]
        lines = (await here.job(results.jobs[0].id)).logs(follow=True)
        assert await anext(lines) == "1"
        rest = asyncio.create_task(_lines(lines))
        await asyncio.to_thread(daemon.kill)
        await asyncio.to_thread(daemon.start)
        results.cancel()
        assert {view.outcome for view in await asyncio.gather(*waits)} == {"CANCELLED"}
        assert await rest == []

    asyncio.run(scenario())
    waiter.join(30)
    assert found == ["CANCELLED"] * 3


def test_a_cancelled_task_leaves_no_thread_and_no_connection(shared: DaemonProcess) -> None:
    async def scenario() -> None:
        here = AsyncClient(str(shared.socket))
        job = await here.run(BUSYBOX, "sleep 100", hold=True)
        await asyncio.to_thread(int)  # its thread is there before and after
        before = sockets(), threading.active_count()
        tasks = [asyncio.create_task(job.wait()) for _ in range(10)]
        tasks += [asyncio.create_task(_first(job.logs(follow=True))) for _ in range(10)]
        most = before[0] + 11  # one for all waits, and one for each log
        await asyncio.to_thread(wait_until, lambda: sockets() >= most, what="all are connected")
        assert sockets() == most
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        assert (sockets(), threading.active_count()) == before
        await job.cancel()

    async def _first(lines: object) -> None:
        await anext(lines)  # type: ignore[call-overload]

    asyncio.run(scenario())
