"""Fetching and reporting, before a daemon that a test plays."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher import wire
from launcher.client.aio.client import AsyncClient
from launcher.config.notify import NotifyTable
from launcher.errors import LauncherError
from launcher.web.notify import service
from launcher.web.notify.deliveries import Delivery
from launcher.web.notify.outbox import Outbox, OutboxChange
from launcher.web.notify.service import NotifyService, keep_sending, state_directory
from tests.support.wait import wait_until
from tests.unit.client.stub_daemon import Json, StubDaemon
from tests.unit.web.notify.made import notification
from tests.unit.web.notify.test_sender import PlayedCourier, well

FAILURE = wire.NotifyFailure(uid=1000, job=7, target="mail to me", detail="why")


@pytest.fixture
def daemon(short_dir: Path) -> Iterator[StubDaemon]:
    made = StubDaemon(short_dir / "daemon.sock")
    yield made
    made.stop()


def page(next: int, *seqs: int, missed: bool = False) -> Json:
    found = [dataclasses.asdict(notification(seq)) for seq in seqs]
    return Json({"notifications": found, "next": next, "missed": missed})


def play(
    daemon: StubDaemon,
    place: Path,
    body: Callable[[NotifyService, Outbox], Awaitable[None]],
    do: Callable[[Delivery], Awaitable[None]] = well,
) -> None:
    async def whole() -> None:
        box = Outbox(place)
        client = AsyncClient(daemon.path, timeout=5, role=wire.OBSERVER)
        made = NotifyService(client, box, NotifyTable(), PlayedCourier(do))
        await body(made, box)
        await box.close()

    asyncio.run(whole())


def queries(daemon: StubDaemon) -> list[str]:
    return [asked.query for asked in daemon.asked]


def test_the_first_start_begins_a_day_ago_and_the_next_one_where_it_ended(
    daemon: StubDaemon, tmp_path: Path
) -> None:
    daemon.on("GET", "/v1/notifications", page(5, 3, 5), page(9), page(9))

    async def body(made: NotifyService, box: Outbox) -> None:
        assert [await made.fetch() for _ in range(3)] == [2, 0, 0]
        assert (list(box.waiting), box.cursor) == (["3.0", "5.0"], 9)

    play(daemon, tmp_path, body)
    first, *others = queries(daemon)
    assert "since=" in first
    assert "after=" not in first
    assert [each.partition("after=")[2] for each in others] == ["5", "9"]
    assert daemon.asked[0].headers["Launcher-Role"] == "observer"


def test_failures_are_reported_once(daemon: StubDaemon, tmp_path: Path) -> None:
    daemon.on("POST", "/v1/notifications/report", Json({"recorded": 100}))

    async def body(made: NotifyService, box: Outbox) -> None:
        await made.report()
        assert daemon.asked == []
        await box.change(lambda: OutboxChange(failures=[FAILURE] * 150))
        await made.report()
        await made.report()
        assert [len(asked.body["failures"]) for asked in daemon.asked] == [100, 50]
        assert box.failures == []
        await made.report()
        assert len(daemon.asked) == 2

    play(daemon, tmp_path, body)


def test_a_failure_that_the_daemon_does_not_take_stays(daemon: StubDaemon, tmp_path: Path) -> None:
    daemon.on("POST", "/v1/notifications/report", Json({"kind": "error", "message": "no"}, 500))

    async def body(made: NotifyService, box: Outbox) -> None:
        await box.change(lambda: OutboxChange(failures=[FAILURE]))
        with pytest.raises(LauncherError):
            await made.report()
        assert box.failures == [FAILURE]

    play(daemon, tmp_path, body)


def test_a_daemon_that_refuses_is_logged_once_and_asked_again(
    daemon: StubDaemon,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(service.bounds, "AWAY_SECONDS", 0.001)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "box"))
    refusal = {"kind": "not-allowed", "message": "nobody does not send", "fix": None}
    daemon.otherwise = lambda asked: Json(refusal, 403)

    async def body() -> None:
        client = AsyncClient(daemon.path, timeout=5, role=wire.OBSERVER)
        running = asyncio.create_task(keep_sending(client, NotifyTable()))
        await asyncio.to_thread(wait_until, lambda: len(daemon.asked) > 3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(body())
    assert caplog.text.count("nobody does not send") == 1


def test_a_directory_that_cannot_be_used_is_logged_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "file"))
    monkeypatch.setattr(service.bounds, "MINUTE", 0.001)

    async def body() -> None:
        client: Any = None
        running = asyncio.create_task(keep_sending(client, NotifyTable()))
        await asyncio.to_thread(wait_until, lambda: "notifications wait" in caplog.text)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(body())
    assert caplog.text.count("notifications wait") == 1


def test_the_directory_is_that_of_the_unit_or_the_user_s_own() -> None:
    assert state_directory({"STATE_DIRECTORY": "/var/lib/launcher-web:/x"}) == Path(
        "/var/lib/launcher-web"
    )
    assert state_directory({"XDG_STATE_HOME": "/s"}) == Path("/s/launcher/web")
