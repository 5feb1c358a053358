"""Likely starts on pages: of every shown waiting job, and one request for all of them."""

from __future__ import annotations

import asyncio
import re

import pytest

from launcher.web import bounds
from tests.unit.cli.queue_views import why_view
from tests.unit.client.stub_daemon import Json, StubDaemon, head, job_view
from tests.unit.web.daemon_replies import answer_overview, detail_of
from tests.unit.web.service import Service, on

START = "2030-01-02T03:04:05Z"
JOBS = [job_view(id=number) for number in range(100, 150)]


async def until_shown(web: Service, path: str, starts: int) -> None:
    """Load a page until it has so many likely starts."""
    async with asyncio.timeout(20):
        while len(re.findall('data-mode="until"', (await web.get(path)).body)) != starts:
            pass


def starts_of(*jobs: int) -> Json:
    return Json({"at": START, "starts": {str(job): START for job in jobs}})


def test_every_shown_waiting_job_has_its_start_after_one_request(
    daemon: StubDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "UPDATE_SECONDS", 0.0)

    async def body(web: Service) -> None:
        await until_shown(web, "/", len(JOBS))
        assert daemon.did().count("GET /v1/queue/starts") == 1
        assert not [each for each in daemon.did() if each.endswith("/why")]

    answer_overview(daemon)
    daemon.on("GET", "/v1/queue/head", head(*JOBS, waiting=10_000))
    daemon.on("GET", "/v1/queue/starts", starts_of(*range(100, 150)))
    on(daemon, body)


def test_a_job_behind_the_first_ones_has_a_request_of_its_own(
    daemon: StubDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "UPDATE_SECONDS", 0.0)

    async def body(web: Service) -> None:
        for job in (8, 9):
            await until_shown(web, f"/jobs/{job}", 1)
        asked = [each for each in daemon.did() if each.endswith(("why", "starts"))]
        assert asked == ["GET /v1/queue/starts", "GET /v1/jobs/9/why"]

    answer_overview(daemon)
    daemon.on("GET", "/v1/queue/starts", starts_of(8))
    for job in (8, 9):
        daemon.on("GET", f"/v1/jobs/{job}", Json(detail_of(job_view(id=job))))
        daemon.on("GET", f"/v1/jobs/{job}/why", Json(why_view(estimated_start=START)))
    on(daemon, body)


def test_a_page_without_estimates_is_served_all_the_same(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        for _ in range(3):
            assert (await web.get("/")).status == 200
        assert daemon.did().count("GET /v1/queue/starts") <= 1

    answer_overview(daemon)
    told = {"kind": "error", "message": "the replay took more than 20 s and was stopped"}
    daemon.on("GET", "/v1/queue/starts", Json(told, 500))
    on(daemon, body)
