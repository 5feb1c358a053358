"""The route for metrics: counters that decisions feed, and gauges of the current state."""

from __future__ import annotations

from launcher import wire
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.handlers.jobs import problems_of
from launcher.daemon.api.route import get
from launcher.daemon.api.views import metric_views as views
from launcher.daemon.loop import clock, loop_lag
from launcher.daemon.users.identity import Caller


async def metrics(context: Context, caller: Caller) -> list[wire.MetricFamily]:
    """Return all metrics; their cost does not depend on the number of jobs that wait."""
    disk = await context.disk.now()
    world, kept = context.world, context.metrics
    memory = context.measuring.sampler.memory_used_mib
    return [
        *views.job_families(world, kept),
        *views.slice_families(world, kept, memory, clock.now().boot),
        *views.daemon_families(world, kept, loop_lag.present().largest(), disk),
        views.gauge("problems", "Problems that `launch status` lists.", len(problems_of(context))),
        views.gauge("read_only", "Whether commits fail.", context.event_loop.read_only is not None),
        views.gauge(
            "waiting_events", "Events that wait for a decision.", context.event_loop.waiting
        ),
        views.gauge(
            "connections", "Open connections to the daemon.", len(context.connections.open)
        ),
    ]


ROUTES = (get("/v1/metrics", metrics, list[wire.MetricFamily]),)
