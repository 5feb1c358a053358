"""Who sees the memory of a slice, and who the processes on it."""

from __future__ import annotations

from launcher import wire
from launcher.daemon.api.views import job_views
from launcher.daemon.api.views.slice_use import with_use
from launcher.daemon.machine.slice_samples import ProcessSample, SliceSample
from launcher.daemon.users.identity import Caller
from tests.support.builders import Machine
from tests.unit.daemon.api.views.test_job_views import ADMIN, HERS, HIS, running

SAMPLE = SliceSample(300, (ProcessSample(7, 424242, 200), ProcessSample(8, None, None)))
SHOWN = [wire.ProcessView(pid=7, user="424242", memory_mib=200),
         wire.ProcessView(pid=8, user=None, memory_mib=None)]  # fmt: skip


def seen_by(machine: Machine, caller: Caller, uuid: str) -> wire.SliceView:
    views = with_use(job_views.slice_views(machine.world), machine.world, caller, lambda _: SAMPLE)
    return next(view for view in views if view.uuid == uuid)


def test_the_owner_of_the_job_and_admins_see_processes_and_others_the_memory() -> None:
    machine, job = running()
    uuid = job.slices[0]
    assert seen_by(machine, HERS, uuid).processes == SHOWN
    assert seen_by(machine, ADMIN, uuid).processes == SHOWN
    assert seen_by(machine, HIS, uuid).processes is None
    assert seen_by(machine, HIS, uuid).memory_used_mib == 300


def test_processes_on_a_slice_without_a_job_are_for_admins() -> None:
    machine, job = running()
    free = next(uuid for uuid in machine.world.slices if uuid not in job.slices)
    assert seen_by(machine, HERS, free).processes is None
    assert seen_by(machine, ADMIN, free).processes == SHOWN
