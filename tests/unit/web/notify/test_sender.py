"""Tries and their order, with a courier that a test plays."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from launcher.spec.notify import NotifyTarget
from launcher.web.notify import bounds, messages
from launcher.web.notify.deliveries import Delivery, NotSent
from launcher.web.notify.outbox import Outbox, OutboxChange
from launcher.web.notify.sender import Sender
from tests.support.wait import wait_until
from tests.unit.web.notify.made import HOOK, delivery

BACKOFF = (60.0, 300.0)


@dataclass
class PlayedCourier:
    """Does what a test says at each try."""

    do: Callable[[Delivery], Awaitable[None]]
    sent: list[str] = field(default_factory=list)

    async def send(self, delivery: Delivery) -> None:
        self.sent.append(delivery.id)
        await self.do(delivery)


@dataclass
class Played:
    """A sender at a time that a test sets."""

    box: Outbox
    courier: PlayedCourier
    sender: Sender
    at: list[float]

    async def put(self, *deliveries: Delivery) -> None:
        await self.box.change(lambda: OutboxChange(put=list(deliveries)))
        self.sender.wake.set()

    async def until(self, true: Callable[[], object]) -> None:
        await asyncio.to_thread(wait_until, true)

    async def at_time(self, now: float) -> None:
        self.at[0] = now
        self.sender.wake.set()


def play(
    place: Path,
    do: Callable[[Delivery], Awaitable[None]],
    body: Callable[[Played], Awaitable[None]],
) -> None:
    async def whole() -> None:
        box, at = Outbox(place), [1000.0]
        courier = PlayedCourier(do)
        sender = Sender(box, courier, lambda: at[0], BACKOFF)
        running = asyncio.create_task(sender.run())
        try:
            await body(Played(box, courier, sender, at))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await box.close()

    asyncio.run(whole())


async def well(delivery: Delivery) -> None:
    """Send it."""


async def later(delivery: Delivery) -> None:
    raise NotSent("HTTP status 500", again=True)


async def never(delivery: Delivery) -> None:
    raise NotSent("HTTP status 404", again=False)


def hook(number: int) -> NotifyTarget:
    return NotifyTarget(webhook=f"https://h{number}.example.org/")


def test_each_delivery_is_sent_once_and_in_order(tmp_path: Path) -> None:
    async def body(played: Played) -> None:
        await played.put(*(delivery(f"{n}.0", due=float(n)) for n in range(50)))
        await played.until(lambda: not played.box.waiting)
        assert played.courier.sent == [f"{n}.0" for n in range(50)]

    play(tmp_path, well, body)


def test_a_failure_is_tried_again_after_longer_and_longer_waits_and_given_up(
    tmp_path: Path,
) -> None:
    async def body(played: Played) -> None:
        await played.put(delivery())
        for tries, wait in enumerate(BACKOFF, start=1):
            await played.until(
                lambda tries=tries: (
                    played.box.waiting["1.0"].tries == tries  # type: ignore[misc]
                    and not played.sender._tasks
                )
            )
            assert played.box.waiting["1.0"].due == played.at[0] + wait
            await played.at_time(played.at[0] + wait - 1)
            await asyncio.sleep(0)
            assert len(played.courier.sent) == tries
            await played.at_time(played.at[0] + 1)
        await played.until(lambda: not played.box.waiting)
        assert played.courier.sent == ["1.0"] * 3
        (failure,) = played.box.failures
        assert (failure.uid, failure.job, failure.detail) == (1000, 7, "HTTP status 500")
        assert failure.target == "https://hooks.example.org/…"

    play(tmp_path, later, body)


def test_a_refusal_is_given_up_at_once(tmp_path: Path) -> None:
    async def body(played: Played) -> None:
        await played.put(delivery())
        await played.until(lambda: not played.box.waiting)
        assert (played.courier.sent, len(played.box.failures)) == (["1.0"], 1)

    play(tmp_path, never, body)


def test_receivers_that_hang_delay_only_their_own_users(tmp_path: Path) -> None:
    async def hang(delivery: Delivery) -> None:
        if delivery.uid == 1000:
            await asyncio.Event().wait()

    async def body(played: Played) -> None:
        await played.put(*(delivery(f"{n}.0", target=hook(n)) for n in range(20)))
        await played.until(lambda: len(played.courier.sent) == bounds.MOST_OF_USER_AT_ONCE)
        await played.put(*(delivery(f"{n}.1", uid=1001, target=hook(n)) for n in range(20)))
        await played.until(lambda: len(played.box.waiting) == 20)
        assert all(each.uid == 1000 for each in played.box.waiting.values())

    bounds_end = bounds.END_SECONDS
    try:
        bounds.END_SECONDS = 0.0
        play(tmp_path, hang, body)
    finally:
        bounds.END_SECONDS = bounds_end


def test_a_try_under_way_ends_before_the_service_does(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def slow(delivery: Delivery) -> None:
        begun.set()
        for _ in range(20):
            await asyncio.sleep(0)

    async def body(played: Played) -> None:
        await played.put(delivery())
        await begun.wait()

    play(tmp_path, slow, body)

    async def after() -> None:
        box = Outbox(tmp_path)
        assert not box.waiting
        await box.close()

    asyncio.run(after())


def test_a_crash_while_it_is_sent_repeats_it_and_not_endlessly(tmp_path: Path) -> None:
    async def crash(times: int) -> int:
        box = Outbox(tmp_path)
        tries = 0
        if not box.waiting and not times:
            await box.change(lambda: OutboxChange(put=[delivery()]))
        courier = PlayedCourier(lambda _: asyncio.Event().wait())  # type: ignore[arg-type,return-value]
        sender = Sender(box, courier, lambda: 1e6 * (times + 1), BACKOFF)
        running = asyncio.create_task(sender.run())
        await asyncio.to_thread(
            wait_until, lambda: courier.sent or (not box.waiting and box.failures)
        )
        tries = len(courier.sent)
        for task in sender._tasks.values():
            task.cancel()  # nothing of what a process does at its end
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await box.close()
        return tries

    assert [asyncio.run(crash(times)) for times in range(4)] == [1, 1, 1, 0]


def test_what_is_summed_up_while_a_sum_is_sent_goes_into_the_next_one(tmp_path: Path) -> None:
    total = Delivery(
        id="more.1", uid=1000, user="alice", target=HOOK, document={"text": "x"}, more=37
    )
    texts: list[str] = []
    gate = asyncio.Event()

    async def slow(delivery: Delivery) -> None:
        texts.append(str(messages.document(delivery)["text"]))
        await gate.wait()

    async def body(played: Played) -> None:
        await played.put(total)
        await played.until(lambda: texts)
        grown = dataclasses.replace(played.box.waiting["more.1"], more=40)
        await played.put(grown)
        gate.set()
        await played.until(lambda: played.box.waiting["more.1"].more == 3)
        await played.at_time(2000.0)
        await played.until(lambda: not played.box.waiting)

    play(tmp_path, slow, body)
    assert texts == [f"{n} more notifications for alice; the last: x" for n in (37, 3)]


def test_nothing_is_sent_that_is_not_on_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(played: Played) -> None:
        def full(change: OutboxChange) -> None:
            raise OSError(28, "No space left on device")

        await played.put(delivery(due=2000.0))
        played.box._append = full  # type: ignore[method-assign]
        await played.at_time(2000.0)
        await played.until(lambda: "No space left" in caplog.text)
        assert played.courier.sent == []
        for task in list(played.sender._tasks.values()):
            task.cancel()

    play(tmp_path, well, body)
