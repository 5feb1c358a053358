"""The memory and processes of slices, as a caller may see them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from launcher import wire
from launcher.core.world.world import World
from launcher.daemon.machine.slice_samples import SliceSample
from launcher.daemon.users.identity import Caller
from launcher.daemon.users.usernames import known_name


def with_use(
    views: Sequence[wire.SliceView],
    world: World,
    caller: Caller,
    sample_of: Callable[[str], SliceSample],
) -> list[wire.SliceView]:
    """Return the slices with their last samples; processes only for the job's owner and admins."""
    return [_with(view, world, caller, sample_of(view.uuid)) for view in views]


def _with(
    view: wire.SliceView, world: World, caller: Caller, sample: SliceSample
) -> wire.SliceView:
    job = None if view.job is None else world.jobs.get(view.job)
    visible = caller.admin if job is None else caller.may_see(job.owner)
    processes = sample.processes if visible else None
    return dataclasses.replace(
        view,
        memory_used_mib=sample.memory_used_mib,
        processes=None
        if processes is None
        else [
            wire.ProcessView(
                pid=each.pid,
                user=None if each.uid is None else known_name(each.uid),
                memory_mib=each.memory_mib,
            )
            for each in processes
        ],
    )
