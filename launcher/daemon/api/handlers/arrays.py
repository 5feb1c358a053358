"""An array as a page shows it: the numbers of its elements, and some of them, failures first."""

from __future__ import annotations

from launcher import wire
from launcher.core.scheduling.explain import Explainer
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.handlers.jobs import job_views
from launcher.daemon.api.views.array_views import array_view, ended_view
from launcher.daemon.api.views.event_views import failure_view
from launcher.daemon.loop import clock
from launcher.daemon.users.identity import Caller
from launcher.errors import UserError
from launcher.store import arrays, notifications


async def page(
    context: Context, caller: Caller, ref: str, *, part: str | None, after: int | None, most: int
) -> wire.ArrayPage:
    """Return an array with at most ``most`` of its elements, by part and then by id.

    ``after`` continues a page of one part. Raises ``NoSuchJob``, or ``UserError`` for a job that
    is not an array.
    """
    if part is not None and part not in wire.ARRAY_PARTS:
        raise UserError(f"part={part}: unknown; known are {', '.join(wire.ARRAY_PARTS)}")
    if after is not None and part is None:
        raise UserError("after continues a page of one part: name the part too")
    array = await context.array_id(ref, caller)
    number = None if part is None else wire.ARRAY_PARTS.index(part)
    read = context.committer.read
    found = await read(arrays.elements_page, array, number, after or 0, most + 1)
    if found is None:
        raise UserError(f"job {ref} is not an array: it has no elements")
    elements = context.latest(found.elements)
    views = await job_views(context, caller, elements[:most])
    failed = []
    if caller.may_see(found.first.owner):
        uid = found.first.owner.uid
        failed = await read(notifications.failures_of_array, array, uid)
    explainer = Explainer(context.world, clock.now())
    live = context.world.arrays.get(array)
    if live is not None and live.live:
        view = array_view(explainer, live, caller)
    else:
        view = ended_view(explainer, array, found, caller)
    return wire.ArrayPage(
        array=view,
        elements=sorted(views, key=_place),
        more=len(elements) > most,
        not_sent=[failure_view(each) for each in failed],
    )


def _place(job: wire.JobView) -> tuple[int, int]:
    return wire.ARRAY_PARTS.index(wire.part_of(job)), job.id
