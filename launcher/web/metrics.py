"""The daemon's metrics in Prometheus' text format."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from launcher import wire
from launcher.client.aio.client import AsyncClient
from launcher.errors import DaemonUnreachable, LauncherError, RecoveryMode
from launcher.web.bounds import DAEMON_SECONDS, FRESH_SECONDS

log = logging.getLogger(__name__)


class DaemonCollector(Collector):
    """What one request to the daemon returned, as Prometheus' library wants it."""

    def __init__(self, families: Iterable[wire.MetricFamily], *, up: bool, recovers: bool) -> None:
        self._families, self._up, self._recovers = families, up, recovers

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield GaugeMetricFamily(
            "launcher_up", "Whether the daemon answers the web service.", float(self._up)
        )
        yield GaugeMetricFamily(
            "launcher_recovery_mode",
            "Whether the daemon is in recovery mode: it cannot use its database.",
            float(self._recovers),
        )
        for family in self._families:
            yield metric_of(family)


def metric_of(family: wire.MetricFamily) -> Metric:
    """Return one metric of the daemon as Prometheus' library wants it."""
    names = list(family.samples[0].labels) if family.samples else []
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=names)
        for sample in family.samples:
            values = [sample.labels[name] for name in names]
            histogram.add_metric(values, _buckets(family, sample), sample.value)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=names)
    for sample in family.samples:
        metric.add_metric([sample.labels[name] for name in names], sample.value)
    return metric


def _buckets(family: wire.MetricFamily, sample: wire.MetricSample) -> list[tuple[str, float]]:
    """Return (upper end, observations up to it) of each bucket, as Prometheus counts them."""
    ends = [str(float(bound)) for bound in family.bounds or ()]
    return list(zip([*ends, "+Inf"], itertools.accumulate(sample.counts or ()), strict=False))


class MetricsReader:
    """Reads the daemon's metrics: at most once in ``FRESH_SECONDS``, for all who ask meanwhile."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._text = b""
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._problem: str | None = None

    async def text(self) -> bytes:
        """Return the metrics; without a daemon the text says so."""
        if time.monotonic() - self._read_at >= FRESH_SECONDS:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read_again())
            await asyncio.shield(self._reading)  # a client that leaves ends it for nobody else
        return self._text

    async def _read_again(self) -> None:
        self._text = await self._read()
        self._read_at = time.monotonic()

    async def _read(self) -> bytes:
        families: list[wire.MetricFamily] = []
        problem: LauncherError | None = None
        try:
            async with asyncio.timeout(DAEMON_SECONDS):
                families = await self._client.metrics()
        except TimeoutError:
            problem = DaemonUnreachable(f"the daemon did not answer within {DAEMON_SECONDS:g} s")
        except LauncherError as error:
            problem = error
        self._log(None if problem is None else problem.message)
        registry = CollectorRegistry()
        registry.register(
            DaemonCollector(
                families,
                up=not isinstance(problem, DaemonUnreachable),
                recovers=isinstance(problem, RecoveryMode),
            )
        )
        return generate_latest(registry)

    def _log(self, problem: str | None) -> None:
        """Log a problem once, and its end."""
        if problem != self._problem:
            log.warning("metrics: %s", problem or "the daemon answers again")
        self._problem = problem
