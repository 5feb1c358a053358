"""Waits of the asyncio client: their connections and threads, restarts, cancelled tasks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from launcher import AsyncClient, errors
from launcher.client.aio.job import AsyncJob
from tests.support.wait import wait_until
from tests.unit.client.stub_daemon import Json, Stream, StubDaemon, end, job_view, out
from tests.unit.client.stub_queue import StubQueue


@pytest.fixture
def queue(stub: StubDaemon) -> StubQueue:
    return StubQueue(stub)


async def until(predicate: Callable[[], object], what: str) -> None:
    """Wait in a thread, so that the loop runs on."""
    await asyncio.to_thread(wait_until, predicate, what=what)


def test_a_job_is_waited_for_and_a_failed_one_raises_nothing(
    stub: StubDaemon, queue: StubQueue
) -> None:
    queue.add([3])

    async def scenario() -> None:
        job = AsyncJob(AsyncClient(stub.path), 3)
        assert (await job.wait(0.05)).outcome is None
        wait = asyncio.create_task(job.wait())
        await until(lambda: queue.waiting, "the daemon is asked")
        queue.end(3, "FAILED", 5)
        assert (await wait).exit_code == 5
        assert await job.state() == "FAILED"

    asyncio.run(scenario())


def test_the_result_of_a_failed_job_is_an_error_with_the_end_of_its_log(
    stub: StubDaemon, queue: StubQueue
) -> None:
    queue.add([3])
    stub.on("GET", "/v1/jobs/3/logs", Stream([out("bo"), out("om\n"), end(job_view())]))

    async def scenario() -> None:
        job = AsyncJob(AsyncClient(stub.path), 3)
        with pytest.raises(TimeoutError, match="job 3 is still RUNNING"):
            await job.result(0.05)
        queue.end(3, "FAILED", 5)
        with pytest.raises(errors.JobFailed) as caught:
            await job.result()
        assert (caught.value.job_exit_code, caught.value.last_lines) == (5, ("boom",))
        assert await job.output() == "boom\n"

    asyncio.run(scenario())


def test_a_thousand_waits_take_one_connection_and_no_thread(
    stub: StubDaemon, queue: StubQueue
) -> None:
    ids = range(1, 1001)
    queue.add(ids)
    before = set(threading.enumerate())

    async def scenario() -> None:
        client = AsyncClient(stub.path)
        waits = [asyncio.create_task(client.wait(job_id)) for job_id in ids]
        await until(lambda: queue.waiting, "the daemon is asked")
        others = ("process_request", "asyncio_")  # the stub's, and that of ``until``
        new = set(threading.enumerate()) - before
        assert [one for one in new if not any(other in one.name for other in others)] == []
        for job_id in reversed(ids):
            queue.end(job_id, exit_code=job_id % 7)
        views = await asyncio.gather(*waits)
        assert [view.exit_code for view in views] == [job_id % 7 for job_id in ids]

    asyncio.run(scenario())
    assert (stub.most_open, queue.most_waiting) == (1, 1)
    assert len(stub.asked) < 20


def test_each_wait_ends_with_its_own_job(stub: StubDaemon, queue: StubQueue) -> None:
    queue.add([1, 2, 3])

    async def scenario() -> None:
        client = AsyncClient(stub.path)
        first = asyncio.create_task(client.wait(1))
        second, again = asyncio.create_task(client.wait(2)), asyncio.create_task(client.wait(2))
        await until(lambda: queue.waiting, "the daemon is asked")
        queue.end(2)
        assert (await second).id == (await again).id == 2
        assert not first.done()
        third = asyncio.create_task(client.wait("3"))
        queue.end(3)
        assert (await third).id == 3
        queue.end(1)
        assert (await first).id == 1

    asyncio.run(scenario())


def test_a_job_that_is_not_there_fails_its_own_wait_alone(
    stub: StubDaemon, queue: StubQueue
) -> None:
    queue.add([1])

    async def scenario() -> None:
        client = AsyncClient(stub.path)
        there = asyncio.create_task(client.wait(1))
        with pytest.raises(errors.NoSuchJob, match="there is no job 7"):
            await client.wait(7)
        assert not there.done()
        queue.end(1)
        await there

    asyncio.run(scenario())


def test_waits_outlive_a_restart_of_the_daemon(stub: StubDaemon, queue: StubQueue) -> None:
    queue.add([1, 2])
    notices: list[str] = []

    async def scenario() -> None:
        client = AsyncClient(stub.path, notice=notices.append)
        waits = [asyncio.create_task(client.wait(job_id)) for job_id in (1, 2)]
        await until(lambda: queue.waiting, "the daemon is asked")
        stub.refuse = True
        queue.end(1)
        await until(lambda: notices, "the daemon is missed")
        stub.refuse = False
        queue.end(2)
        await asyncio.gather(*waits)

    asyncio.run(scenario())
    assert notices == ["waiting for the daemon, which does not answer; its jobs go on"]


def test_waits_end_where_the_daemon_does_not_come_back(stub: StubDaemon, queue: StubQueue) -> None:
    queue.add([1, 2])

    async def scenario() -> None:
        client = AsyncClient(stub.path, reconnect=0.1)
        waits = [asyncio.create_task(client.wait(job_id)) for job_id in (1, 2)]
        await until(lambda: queue.waiting, "the daemon is asked")
        stub.refuse = True
        queue.end(1)
        for wait in waits:
            with pytest.raises(errors.DaemonUnreachable):
                await wait
        stub.refuse = False
        assert (await client.wait(1)).id == 1, "a later wait works again"

    asyncio.run(scenario())


def test_a_wait_after_the_last_one_was_cancelled_works(stub: StubDaemon, queue: StubQueue) -> None:
    queue.add([1])

    async def scenario() -> None:
        client = AsyncClient(stub.path)
        for _ in range(3):
            wait = asyncio.create_task(client.wait(1))
            await until(lambda: queue.waiting, "the daemon is asked")
            wait.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wait
        queue.end(1)
        assert (await client.wait(1)).id == 1
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


def test_a_client_may_be_used_in_one_event_loop_after_another(
    stub: StubDaemon, queue: StubQueue
) -> None:
    queue.add([1, 2])
    client = AsyncClient(stub.path)

    async def left_waiting() -> None:
        waits = [asyncio.create_task(client.wait(1)) for _ in range(3)]
        await until(lambda: queue.waiting, "the daemon is asked")
        await asyncio.gather(*(client.show(1) for _ in range(50)))
        assert not any(wait.done() for wait in waits)

    async def ended() -> None:
        wait, other = asyncio.create_task(client.wait(1)), asyncio.create_task(client.wait(2))
        await asyncio.gather(*(client.show(1) for _ in range(50)))
        queue.end(1)
        assert (await wait).id == 1
        queue.end(2)
        await other

    asyncio.run(left_waiting())
    asyncio.run(ended())


def test_a_map_yields_results_in_order_and_as_they_end(stub: StubDaemon, queue: StubQueue) -> None:
    queue.add([21, 22, 23], array=20)
    stub.on("POST", "/v1/jobs", Json(list(queue.jobs.values()), 201))
    stub.on("GET", "/v1/jobs/23/logs", Stream([out("no\n"), end(job_view())]))

    async def scenario() -> None:
        results = await AsyncClient(stub.path).map("busybox", "echo {}", ["a", "b", "c"])
        arriving = results.as_completed()
        queue.end(23, "FAILED", 9)
        last = await anext(arriving)
        assert (last.value, last.exit_code, last.ok, await last.output()) == ("c", 9, False, "no\n")
        with pytest.raises(errors.JobFailed):
            await last.check()
        with pytest.raises(TimeoutError):
            [one async for one in results.as_completed(timeout=0.1)]
        for job_id in (22, 21):
            queue.end(job_id)
        assert [one.value async for one in results] == ["a", "b", "c"]
        assert {one.value async for one in arriving} == {"a", "b"}
        assert (await anext(results.as_completed())).value == "c"

    asyncio.run(scenario())


def test_an_array_ends_with_its_last_element(stub: StubDaemon, queue: StubQueue) -> None:
    queue.add([21, 22], array=20)

    async def scenario() -> None:
        job = await AsyncClient(stub.path).job(20)
        assert [element.id for element in job.elements()] == [21, 22]
        queue.end(21)
        assert (await job.wait(0.1)).id == 22
        queue.end(22)
        assert (await job.result()).outcome == "COMPLETED"

    asyncio.run(scenario())


@contextlib.asynccontextmanager
async def silent_daemon(path: str) -> AsyncIterator[asyncio.Queue[str]]:
    """A daemon that never replies, and tells when connections come and go."""
    told: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        told.put_nowait("came")
        await reader.read()
        told.put_nowait("went")
        writer.close()

    async with await asyncio.start_unix_server(serve, path):
        yield told


async def first(lines: AsyncIterator[object]) -> None:
    await anext(lines)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.status(),
        lambda client: client.wait(3),
        lambda client: client.wait("last"),
        lambda client: AsyncJob(client, 3).cancel(),
        lambda client: first(AsyncJob(client, 3).logs(follow=True)),
        lambda client: first(client.follow(3)),
        lambda client: client.layout.wait(1),
    ],
)
def test_a_cancelled_call_closes_its_connection_at_once_and_leaves_nothing(
    short_dir: Path, call: Callable[[AsyncClient], Awaitable[object]]
) -> None:
    async def scenario() -> None:
        path = str(short_dir / "s")
        async with silent_daemon(path) as told:
            before = threading.active_count()
            task = asyncio.ensure_future(call(AsyncClient(path)))
            assert await told.get() == "came"
            task.cancel()
            assert await asyncio.wait_for(told.get(), 1) == "went"
            with pytest.raises(asyncio.CancelledError):
                await task
            assert threading.active_count() == before

    asyncio.run(scenario())
