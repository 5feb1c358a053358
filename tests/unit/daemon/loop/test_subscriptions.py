"""Who is woken when: by a job's change, by its log, by a pull."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from launcher.core.model.job import ImageKey, State
from launcher.daemon.loop import subscriptions as hubs
from launcher.daemon.loop.subscriptions import Subscriptions
from tests.unit.store.worlds import changes, done, job


def on_a_loop(test: Callable[[Subscriptions], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        async with asyncio.timeout(10):
            await test(Subscriptions())

    asyncio.run(body())


def test_a_change_wakes_who_watches_that_job_and_nobody_else() -> None:
    async def body(subscriptions: Subscriptions) -> None:
        with (
            subscriptions.watch(1) as first,
            subscriptions.watch(1) as second,
            subscriptions.watch(2) as other,
        ):
            subscriptions.changed(changes(job(1)))
            assert (first.is_set(), second.is_set(), other.is_set()) == (True, True, False)

    on_a_loop(body)


def test_a_log_that_grows_wakes_from_another_thread() -> None:
    async def body(subscriptions: Subscriptions) -> None:
        with subscriptions.watch(7) as woken:
            threading.Thread(target=subscriptions.touch, args=(7,)).start()
            await woken.wait()
        subscriptions.touch(7)  # nobody watches: nothing to do

    on_a_loop(body)


def test_who_has_gone_is_forgotten() -> None:
    async def body(subscriptions: Subscriptions) -> None:
        with pytest.raises(RuntimeError), subscriptions.watch(1) as woken:
            raise RuntimeError
        subscriptions.changed(changes(job(1)))
        assert not woken.is_set()
        assert subscriptions._watchers == {}

    on_a_loop(body)


def test_a_job_that_ended_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "REMEMBERED", 3)

    async def body(subscriptions: Subscriptions) -> None:
        for number in range(1, 6):
            subscriptions.changed(changes(done(number), job(100)))
        assert [number for number in range(1, 6) if subscriptions.ended(number)] == [3, 4, 5]
        found = subscriptions.ended(5)
        assert found is not None
        assert found.state is State.DONE
        assert subscriptions.ended(100) is None

    on_a_loop(body)


def test_a_lost_log_wakes_who_waits_for_its_end() -> None:
    async def body(subscriptions: Subscriptions) -> None:
        with subscriptions.watch(3) as woken:
            threading.Thread(target=subscriptions.lose_log, args=(3, 1)).start()
            await woken.wait()
        assert subscriptions.log_lost(3, 1)
        assert not subscriptions.log_lost(3, 2)

    on_a_loop(body)


def test_a_pull_tells_those_who_wait_for_it_and_not_at_every_layer() -> None:
    async def body(subscriptions: Subscriptions) -> None:
        app, other_app = ImageKey("app:1", "missing", 1000), ImageKey("b", "missing", 1000)
        with (
            subscriptions.watch(1, app) as first,
            subscriptions.watch(2, app) as second,
            subscriptions.watch(3, other_app) as other,
        ):

            def pull() -> None:
                for size in range(1000):
                    subscriptions.pulling(app, [{"id": "a", "current": size}])

            thread = threading.Thread(target=pull)
            thread.start()
            await asyncio.gather(first.wait(), second.wait())
            await asyncio.to_thread(thread.join)
            assert not other.is_set()
            assert subscriptions.progress[app] == [{"id": "a", "current": 999}]

    on_a_loop(body)


def test_a_job_that_is_tried_again_has_not_ended_lately() -> None:
    async def body(subscriptions: Subscriptions) -> None:
        subscriptions.changed(changes(done(1)))
        assert subscriptions.ended(1) == done(1)
        subscriptions.changed(changes(job(1)))
        assert subscriptions.ended(1) is None

    on_a_loop(body)
