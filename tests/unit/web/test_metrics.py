"""What Prometheus reads: the daemon's figures, and what is shown without a daemon."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from launcher import wire
from launcher.web import metrics
from tests.support.wait import wait_until
from tests.unit.client.stub_daemon import Json, StubDaemon
from tests.unit.web.service import service

FAMILIES = [
    wire.MetricFamily(
        name="launcher_jobs", kind="gauge", help="Jobs.",
        samples=[wire.MetricSample(labels={"state": "pending"}, value=3)],
    ),
    wire.MetricFamily(
        name="launcher_jobs_ended", kind="counter", help="Ends.",
        samples=[wire.MetricSample(labels={"outcome": 'a"\\\n'}, value=2)],
    ),
    wire.MetricFamily(
        name="launcher_job_wait_seconds", kind="histogram", help="Waits.", bounds=[1.0, 5.0],
        samples=[wire.MetricSample(labels={}, value=63.5, counts=[2, 1, 1])],
    ),
    wire.MetricFamily(name="launcher_gpu_up", kind="gauge", help="None here.", samples=[]),
]  # fmt: skip
RECOVERS = {"kind": "recovery-mode", "message": "the daemon is in recovery mode", "fix": None}


@pytest.fixture
def daemon(daemon: StubDaemon) -> StubDaemon:
    daemon.on("GET", "/v1/metrics", Json([dataclasses.asdict(each) for each in FAMILIES]))
    return daemon


def scraped(path: str, times: int = 1) -> dict[str, float]:
    """Return each sample of the last scrape, with its labels."""

    async def body() -> str:
        async with service(path) as web:
            answers = await asyncio.gather(*(web.get("/metrics") for _ in range(times)))
        assert {answer.status for answer in answers} == {200}
        assert answers[0].headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return answers[-1].body

    return {
        f"{s.name}{''.join(f' {k}={v}' for k, v in s.labels.items())}": s.value
        for family in text_string_to_metric_families(asyncio.run(body()))
        for s in family.samples
    }


def test_every_kind_of_metric_is_as_prometheus_reads_it(daemon: StubDaemon) -> None:
    found = scraped(daemon.path)
    assert found["launcher_up"] == 1
    assert found["launcher_recovery_mode"] == 0
    assert found["launcher_jobs state=pending"] == 3
    assert found['launcher_jobs_ended_total outcome=a"\\\n'] == 2
    buckets = [v for k, v in found.items() if k.startswith("launcher_job_wait_seconds_bucket")]
    assert buckets == [2, 3, 4]
    assert found["launcher_job_wait_seconds_count"] == 4
    assert found["launcher_job_wait_seconds_sum"] == 63.5


def test_the_daemon_is_asked_as_an_observer_and_once_for_many_scrapes(daemon: StubDaemon) -> None:
    scraped(daemon.path, times=20)
    (asked,) = daemon.asked
    assert asked.headers["Launcher-Role"] == "observer"


def test_clients_that_leave_at_once_do_not_multiply_the_requests_to_the_daemon(
    daemon: StubDaemon,
) -> None:
    over = threading.Event()
    daemon.on("GET", "/v1/metrics")
    daemon.otherwise = lambda asked: (over.wait(10), Json([]))[1]

    async def body() -> None:
        async with service(daemon.path) as web:
            for _ in range(20):
                _, writer = await web.connect()
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await asyncio.to_thread(wait_until, lambda: web.connections.open)
                await asyncio.to_thread(wait_until, lambda: daemon.asked)
                writer.close()
                await asyncio.to_thread(wait_until, lambda: not web.connections.open)
            over.set()
            assert (await web.get("/metrics")).status == 200

    asyncio.run(body())
    assert len(daemon.asked) == 1


def test_without_a_daemon_the_metrics_say_so(short_dir: Path) -> None:
    assert scraped(str(short_dir / "none.sock")) == {"launcher_up": 0, "launcher_recovery_mode": 0}


def test_a_daemon_in_recovery_mode_is_up_and_says_so(daemon: StubDaemon) -> None:
    daemon.on("GET", "/v1/metrics", Json(RECOVERS, 503))
    assert scraped(daemon.path) == {"launcher_up": 1, "launcher_recovery_mode": 1}


def test_a_daemon_that_hangs_is_not_waited_for(
    daemon: StubDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "DAEMON_SECONDS", 0.05)
    over = threading.Event()
    daemon.on("GET", "/v1/metrics")
    daemon.otherwise = lambda asked: (over.wait(10), Json([]))[1]
    try:
        assert scraped(daemon.path)["launcher_up"] == 0
    finally:
        over.set()
