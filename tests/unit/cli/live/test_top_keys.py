"""The keys of `launch top`, typed to the real application by Textual's own pilot."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Log, Static

from launcher.cli.live import feed
from launcher.cli.live.app import TopApp
from launcher.cli.live.screens import LogScreen, TextScreen
from launcher.client import Client
from launcher.client.aio.client import AsyncClient
from launcher.client.snapshot import Snapshot, read
from launcher.errors import LauncherError
from tests.unit.cli.live.views import LiveMachine, leased, machine, quarter, running
from tests.unit.client.stub_daemon import Json, Stream, StubDaemon, end, ended, job_view, out

JOBS = [running(12, time_limit=3600.0), job_view(id=13, reason="Resources"),
        job_view(id=14, reason="JobHeldUser", name="[bold]x[/]")]  # fmt: skip
BUSY = machine(leased(0, 12), quarter(1), jobs=JOBS)
Test = Callable[[Pilot[int], TopApp], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REFRESH_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(feed, name, 0.01)


@pytest.fixture
def live(stub: StubDaemon) -> LiveMachine:
    return LiveMachine(stub, BUSY)


def on_screen(test: Test, stub: StubDaemon, size: tuple[int, int] = (80, 24)) -> int | None:
    """Run a test with the application on a terminal of this size; return its exit status."""

    async def body() -> int | None:
        app = TopApp(AsyncClient(stub.path), read(Client(stub.path)), "alice")
        async with asyncio.timeout(30), app.run_test(size=size) as pilot:
            await shows(pilot, app, "launch top")
            await test(pilot, app)
        return app.return_value

    return asyncio.run(body())


async def shows(pilot: Pilot[int], app: TopApp, text: str, *, gone: bool = False) -> None:
    """Wait until a text is on the screen, or is not."""
    until = time.monotonic() + 10
    while (text in shown(app)) is gone:
        assert time.monotonic() < until, (text, shown(app))
        await pilot.pause(0.02)


def shown(app: TopApp) -> str:
    """What is on the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


def test_the_first_frame_is_there_at_once_and_fits(live: LiveMachine) -> None:
    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await shows(pilot, app, "GPU 0  NVIDIA A30")
        lines = shown(app).splitlines()
        assert len(lines) == 24
        assert lines[-1].startswith("q quit")
        assert "[bold]x[/]" in shown(app)

    on_screen(test, live.stub)


def test_a_change_of_the_machine_is_seen(live: LiveMachine) -> None:
    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await shows(pilot, app, "GPU 0")
        live.change(machine(quarter(0, state="drained"), jobs=[]))
        await shows(pilot, app, "no job waits or runs")
        await shows(pilot, app, "drained")

    on_screen(test, live.stub)


def test_while_nothing_changes_nothing_is_asked(live: LiveMachine) -> None:
    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await shows(pilot, app, "GPU 0")
        await pilot.pause(0.5)
        before = list(live.stub.did())
        await pilot.pause(0.5)
        assert live.stub.did() == before

    on_screen(test, live.stub)


def test_a_daemon_that_goes_away_is_named_and_found_again(live: LiveMachine) -> None:
    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await shows(pilot, app, "GPU 0")
        live.stub.refuse = True
        live.change(BUSY)
        await shows(pilot, app, "the daemon does not answer")
        live.change(machine(quarter(0), jobs=[running(99)]))
        live.stub.refuse = False
        await shows(pilot, app, "99")
        await shows(pilot, app, "the daemon does not answer", gone=True)

    on_screen(test, live.stub)


def test_arrows_and_letters_choose_a_job(live: LiveMachine) -> None:
    async def test(pilot: Pilot[int], app: TopApp) -> None:
        for key, chosen in (
            ("down", "12"), ("down", "13"), ("j", "14"), ("j", "14"), ("k", "13"), ("up", "12"),
            ("up", "12"), ("end", "14"), ("home", "12"), ("pagedown", "14"),
        ):  # fmt: skip
            await pilot.press(key)
            assert app.look.chosen == chosen, key

    on_screen(test, live.stub)


def test_q_leaves_with_zero_and_ctrl_c_with_130(live: LiveMachine) -> None:
    async def leave(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("q")

    async def interrupt(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("ctrl+c")

    assert on_screen(leave, live.stub) == 0
    assert on_screen(interrupt, live.stub) == 130


def test_cancel_asks_first_and_no_is_no(live: LiveMachine) -> None:
    live.stub.on("POST", "/v1/jobs/12/cancel", Json([ended("CANCELLED")]))

    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("j", "c")
        await shows(pilot, app, "Cancel job 12 (train, of alice)?")
        await pilot.press("n")
        await shows(pilot, app, "Cancel job", gone=True)
        assert "POST /v1/jobs/12/cancel" not in live.stub.did()
        await pilot.press("c", "y")
        await shows(pilot, app, "12: cancelled")
        assert "POST /v1/jobs/12/cancel" in live.stub.did()

    on_screen(test, live.stub)


def test_markup_in_a_name_is_text_in_the_question_too(live: LiveMachine) -> None:
    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("end", "c")
        await shows(pilot, app, "Cancel job 14 ([bold]x[/], of alice)?")

    on_screen(test, live.stub)


def test_h_holds_a_waiting_job_releases_a_held_one_and_leaves_a_running_one(
    live: LiveMachine,
) -> None:
    live.stub.on("POST", "/v1/jobs/13/hold", Json([job_view(id=13)]))
    live.stub.on("POST", "/v1/jobs/14/release", Json([job_view(id=14)]))

    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("h")
        await shows(pilot, app, "choose a job first")
        await pilot.press("j", "h")
        await shows(pilot, app, "12 does not wait")
        await pilot.press("j", "h")
        await shows(pilot, app, "13: held")
        await pilot.press("j", "h")
        await shows(pilot, app, "14: released")

    on_screen(test, live.stub)


def test_a_refusal_is_said_and_nothing_ends(live: LiveMachine) -> None:
    refusal = {"kind": "not-allowed", "message": "not your job \x1b[2J", "fix": None}
    live.stub.on("POST", "/v1/jobs/13/hold", Json(refusal, 403))

    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("j", "j", "h")
        await shows(pilot, app, r"not your job \x1b[2J")

    on_screen(test, live.stub)


def test_m_shows_only_the_users_own_jobs(live: LiveMachine) -> None:
    live.change(machine(jobs=[running(12), running(13, user="bob", name="other")]))

    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await shows(pilot, app, "other")
        await pilot.press("m")
        await shows(pilot, app, "other", gone=True)
        await shows(pilot, app, "only alice")
        await pilot.press("m")
        await shows(pilot, app, "other")

    on_screen(test, live.stub)


def test_the_filter_is_typed_kept_and_cleared(live: LiveMachine) -> None:
    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("slash", *"resour", "enter")
        await shows(pilot, app, "filter: resour")
        assert [row.ref for row in app.frame().rows] == ["13"]
        await pilot.press("j")
        assert app.look.chosen == "13", "letters are keys again"
        await pilot.press("escape")
        await shows(pilot, app, "filter:", gone=True)
        assert len(app.frame().rows) == 3

    on_screen(test, live.stub)


def test_the_help_names_the_keys_and_any_of_them_closes_it(live: LiveMachine) -> None:
    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("question_mark")
        await shows(pilot, app, "cancel the job")
        assert isinstance(app.screen, TextScreen)
        await pilot.press("escape")
        await shows(pilot, app, "cancel the job", gone=True)

    on_screen(test, live.stub)


def test_the_log_follows_and_escape_goes_back(live: LiveMachine) -> None:
    stream = Stream([out("first\n\x1b[31m[red]second[/]\x1b[0m\nunfin"), end(ended("COMPLETED"))])
    live.stub.on("GET", "/v1/jobs/12/logs", stream)

    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("j", "l")
        await shows(pilot, app, "first")
        await shows(pilot, app, "[red]second[/]")
        await shows(pilot, app, "unfin")
        await shows(pilot, app, "log of job 12: complete")
        assert isinstance(app.screen, LogScreen)
        await pilot.press("escape")
        await shows(pilot, app, "GPU 0")

    on_screen(test, live.stub)


def test_a_long_log_can_be_scrolled(live: LiveMachine) -> None:
    text = "".join(f"line {n}\n" for n in range(200))
    live.stub.on("GET", "/v1/jobs/12/logs", Stream([out(text), end(ended("COMPLETED"))]))

    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("j", "enter")
        await shows(pilot, app, "line 199")
        await pilot.press("home")
        await shows(pilot, app, "line 0 ")
        await pilot.press("j")
        await shows(pilot, app, "line 0 ", gone=True)
        assert app.screen.query_one(Log).line_count >= 200

    on_screen(test, live.stub)


def test_a_log_that_may_not_be_read_says_why(live: LiveMachine) -> None:
    refusal = {"kind": "not-allowed", "message": "it is not your job", "fix": None}
    live.stub.on("GET", "/v1/jobs/12/logs", Json(refusal, 403))

    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("j", "l")
        await shows(pilot, app, "it is not your job")
        assert app.screen.query_one("#title", Static)

    on_screen(test, live.stub)


def test_the_frame_follows_the_size_of_the_terminal(live: LiveMachine) -> None:
    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.resize_terminal(200, 50)
        await pilot.pause()
        await shows(pilot, app, "│" + "1g.6gb".ljust(49) + "│")
        assert len(shown(app).splitlines()) == 50
        await pilot.resize_terminal(40, 10)
        await pilot.pause()
        assert (app.look.width, app.look.height) == (40, 10)

    on_screen(test, live.stub)


def test_without_colour_the_chosen_job_is_still_seen(
    live: LiveMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await pilot.press("j")
        await shows(pilot, app, "GPU 0")
        styles = [
            segment.style
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style is not None
        ]
        assert any(style.reverse for style in styles)

    on_screen(test, live.stub)


def test_likely_starts_are_asked_once_while_the_queue_is_the_same(live: LiveMachine) -> None:
    run = {"job": 13, "name": None, "user": "alice", "lanes": [], "start": 600.0, "end": 700.0}
    forecast = {"layout": "present", "makespan": 1.0, "mean_wait": 1.0, "worst_wait": 1.0,
                "use": 0.5, "jobs": 1, "never": [], "lanes": [], "runs": [run]}  # fmt: skip
    live.stub.on("POST", "/v1/whatif", Json([forecast]))

    async def test(pilot: Pilot[int], app: TopApp) -> None:
        await shows(pilot, app, "in 9m")
        await pilot.pause(0.3)
        assert live.stub.did().count("POST /v1/whatif") == 1

    on_screen(test, live.stub)


def test_a_bug_is_raised_after_the_screen_is_restored(live: LiveMachine) -> None:
    live.stub.on("GET", "/v1/slices", Json([{"uuid": 7}]))

    async def body() -> Exception | None:
        first = Snapshot([], [], BUSY.head)
        app = TopApp(AsyncClient(live.stub.path), first, "alice")
        async with asyncio.timeout(30), app.run_test() as pilot:
            until = time.monotonic() + 10
            while app.failure is None and time.monotonic() < until:
                await pilot.pause(0.02)
        return app.failure

    assert isinstance(asyncio.run(body()), LauncherError)


def test_a_bug_in_drawing_ends_it_without_a_traceback_on_the_screen(
    live: LiveMachine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def body() -> Exception | None:
        app = TopApp(AsyncClient(live.stub.path), read(Client(live.stub.path)), "alice")
        with contextlib.suppress(ZeroDivisionError):  # the pilot raises it too
            async with asyncio.timeout(30), app.run_test() as pilot:
                await shows(pilot, app, "launch top")
                monkeypatch.setattr("launcher.cli.live.app.draw", lambda *_: 1 / 0)
                await pilot.press("j")
                await pilot.pause(0.2)
        return app.failure

    assert isinstance(asyncio.run(body()), ZeroDivisionError)
    assert "Traceback" not in "".join(capfd.readouterr())
