"""Arrays as the API shows them: one line for all of their elements."""

from __future__ import annotations

from launcher import wire
from launcher.core.model.arrays import Array
from launcher.core.scheduling.explain import Explainer
from launcher.daemon.api.views import job_views
from launcher.daemon.loop import clock
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
    return wire.ArrayView(
        id=array.id,
        name=view.name,
        user=array.owner.name,
        profile=view.profile,
        count=view.count,
        indices=array.indices,
        counts=counts,
        submitted_at=clock.rfc3339(first.submitted_at),
        image=view.image,
        reason=view.reason,
    )


def ended_view(
    explainer: Explainer, array: int, found: StoredElements, caller: Caller
) -> wire.ArrayView:
    """Return an array whose elements have all ended."""
    view = job_views.job_view(explainer, found.first, caller, None)
    return wire.ArrayView(
        id=array,
        name=view.name,
        user=view.user,
        profile=view.profile,
        count=view.count,
        indices=found.indices,
        counts=dict(found.counts),
        submitted_at=view.submitted_at,
        image=view.image,
        reason=None,
    )
