"""Arrays as the API shows them: one line for all of their elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from launcher import wire
from launcher.core.model.arrays import Array
from launcher.core.scheduling.explain import Explainer
from launcher.daemon.api.views import job_views
from launcher.daemon.users.identity import Caller
from launcher.store.arrays import StoredElements


def array_view(explainer: Explainer, array: Array, caller: Caller) -> wire.ArrayView:
    """Return a live array with the numbers of its elements by state."""
    world = explainer.world
    counts = {outcome.value: n for outcome, n in array.ended.items() if n}
    for job_id in array.active:
        job = world.jobs[job_id]
        state = job.outcome.value if job.outcome else job.state.value
        counts[state] = counts.get(state, 0) + 1
    if (pending := len(array.live) - len(array.active)) > 0:
        counts["PENDING"] = pending
    idle = array.first_idle()
    first = world.jobs[min(array.live) if idle is None else idle]
    view = job_views.job_view(explainer, first, caller, None)
    return in_one_line(array.id, view, array.indices, counts)


def ended_view(
    explainer: Explainer, array: int, found: StoredElements, caller: Caller
) -> wire.ArrayView:
    """Return an array whose elements have all ended."""
    view = job_views.job_view(explainer, found.first, caller, None)
    return replace(in_one_line(array, view, found.indices, found.counts), reason=None)


def in_one_line(
    array: int, element: wire.JobView, indices: str, counts: Mapping[str, int]
) -> wire.ArrayView:
    """Return an array whose elements, but for their states, are like one of them."""
    return wire.ArrayView(
        id=array,
        name=element.name,
        user=element.user,
        profile=element.profile,
        count=element.count,
        indices=indices,
        counts=dict(counts),
        submitted_at=element.submitted_at,
        image=element.image,
        reason=element.reason,
    )
