"""A daemon that is restarted at any moment goes on with exactly what it had.

The world of a random history is written to a real database and read back: jobs, arrays, leases, use
and the queue are the same, and nobody who waits is forgotten.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from launcher.core.jobs.images import is_open
from launcher.core.messages import events as ev
from launcher.core.model.arrays import Array
from launcher.core.model.gpu import Inventory
from launcher.core.model.job import ALONE, After, Dependency, Job, Outcome, State
from launcher.core.model.lease import Lease
from launcher.core.recovery.reconcile import resume
from launcher.core.world.inventory import take_inventory
from launcher.core.world.world import World
from launcher.errors import ImpossibleRequest, NotAllowed, StaleRequest
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import JobSpec, Retries
from launcher.store import Reader, Store
from tests.property.test_scheduler import NEEDS, Histories
from tests.support.builders import ALICE, IMAGE
from tests.support.whole import many

HOWS = [After.OK, After.NOT_OK, After.ANY, After.START]
OF_THIS_BOOT = {"deadline", "warn_at", "kill_at", "idle_since", "changes"}
"""Made anew from what is stored."""


class Restarts(Histories):
    """The same machine, with a database, and restarts between any two events."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.store = Store.open(Path(self.directory.name))
        self.seen: dict[int, Job] = {}

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()

    def commit(self) -> None:
        self.store.commit(self.machine.world.take_changes())

    @rule(
        need=NEEDS,
        size=st.integers(1, 4),
        most=st.sampled_from([1, 2]),
        retries=st.sampled_from([None, Retries(2, ("any", "infra"), 5.0)]),
    )
    def submit_capped_array(
        self, need: GpuRequest, size: int, most: int, retries: Retries | None
    ) -> None:
        try:
            self.machine.submit_array(size, need, most, retries=retries)
        except (ImpossibleRequest, NotAllowed):
            return

    @rule(
        need=NEEDS,
        hows=st.lists(st.sampled_from(HOWS), min_size=1, max_size=2, unique=True),
        delay=st.sampled_from([0.0, 60.0]),
        either=st.booleans(),
        alone=st.booleans(),
        data=st.data(),
    )
    def submit_after_others(
        self,
        need: GpuRequest,
        hows: list[After],
        delay: float,
        either: bool,
        alone: bool,
        data: st.DataObject,
    ) -> None:
        live = sorted(self.machine.world.jobs)
        others = data.draw(st.lists(st.sampled_from(live), max_size=2)) if live else []
        waits = tuple(
            (Dependency(job, how, either=either, delay=delay * (how is After.START)), None)
            for job, how in zip(others, hows, strict=False)
        )
        spec = JobSpec("alone" if alone else "job", IMAGE.reference, need, singleton=alone)
        new = ev.NewJob(spec, "{}", IMAGE, after=waits)
        try:
            self.machine.tell(ev.Submitted(ALICE, (new,)))
        except (ImpossibleRequest, NotAllowed):
            return

    @rule(found=st.booleans())
    def image_is_found_or_its_registry_is_away(self, found: bool) -> None:
        away = ev.ImageFailed(IMAGE, "no route to host", transient=True)
        self.machine.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True) if found else away)

    def ended(self) -> list[Job]:
        live = self.machine.world.jobs
        return [j for i, j in self.seen.items() if j.state is State.DONE and i not in live]

    @precondition(lambda self: self.ended())
    @rule(data=st.data())
    def try_again(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(job.id for job in self.ended())))
        self.commit()
        reader = Reader(Path(self.directory.name))
        job = reader.job(job_id)
        assert job is not None
        array = reader.array(job.element.array) if job.element is not None else None
        reader.close()
        arrays = (array,) if array and array.id not in self.machine.world.arrays else ()
        ends = tuple((d, Outcome.COMPLETED) for d in job.depends_on if d != ALONE)
        try:
            self.machine.tell(ev.RetryAsked((ev.Retried(job, ends),), 1000, arrays=arrays))
        except (StaleRequest, ImpossibleRequest, NotAllowed):
            return

    @rule()
    def restart(self) -> None:
        machine, old = self.machine, self.machine.world
        self.commit()
        new = self.store.load(old.cpu_slots, old.rules)
        new.reconciling, new.groups = old.reconciling, old.groups
        new.engine_down, new.gpu_down = old.engine_down, old.gpu_down
        shown = tuple(s.slice for s in old.slices.values() if not s.lost)
        inventory = Inventory("580.95.05", tuple(machine.gpus), shown)
        foreign = tuple((u, s.foreign) for u, s in old.slices.items() if s.foreign)
        take_inventory(new, ev.InventoryRead(inventory, foreign))
        resume(new, machine.time)
        assert_same(old, new)
        machine.world = new
        machine.tell(ev.Tick())

    @invariant()
    def arrays_know_their_elements(self) -> None:
        world = self.machine.world
        self.seen |= world.jobs
        for array in world.arrays.values():
            of_it = {j.id for j in world.jobs.values() if j.element and j.element.array == array.id}
            assert array.live == of_it
            begun = {i for i in of_it if world.jobs[i].state is not State.PENDING}
            assert array.active == begun
            if array.max_parallel is not None:
                assert array.taken == begun | {i for i in of_it if i in world.queue}
                self.no_turn_is_missed(array)

    def no_turn_is_missed(self, array: Array) -> None:
        """While there is room, no element waits for its turn alone."""
        assert array.max_parallel is not None
        if len(array.taken) < array.max_parallel:
            jobs = (self.machine.world.jobs[i] for i in array.waiting)
            ready = (j for j in jobs if is_open(j, self.machine.time) and j.image_id)
            assert [j for j in ready if j.state is State.PENDING] == []

    @invariant()
    def of_one_name_one_runs_alone(self) -> None:
        jobs = self.machine.world.jobs.values()
        active = [j for j in jobs if j.name == "alone" and j.state is not State.PENDING]
        assert len(active) <= 1

    @invariant()
    def what_is_waited_for_is_still_to_come(self) -> None:
        world = self.machine.world
        for job in world.jobs.values():
            for dependency in job.waits_for:
                if dependency == ALONE:
                    watched = any(job.id in ids for ids in world.dependents.values())
                    assert watched or any(i == job.id for _, i in world.begins)
                    continue
                assert job.id in world.dependents[dependency.job]
                other = world.jobs[dependency.job]
                if dependency.after is After.START:
                    assert other.state in (State.PENDING, State.STARTING)

    @invariant()
    def nobody_who_waits_is_forgotten(self) -> None:
        world = self.machine.world
        begins = {job_id for _, job_id in world.begins}
        asked = {job_id for state in world.images.values() for job_id in state.waiting}
        for job in world.jobs.values():
            if job.state is State.PENDING and job.held is None and not job.waits_for:
                array = world.arrays[job.element.array] if job.element else None
                turn = array is not None and job.id in array.waiting
                assert job.id in world.queue or job.id in begins or job.id in asked or turn, job


def assert_same(old: World, new: World) -> None:
    """What was read back is what was there."""
    assert old.jobs.keys() == new.jobs.keys()
    for job_id, job in old.jobs.items():
        for field in dataclasses.fields(Job):
            if field.name not in OF_THIS_BOOT:
                was, is_now = getattr(job, field.name), getattr(new.jobs[job_id], field.name)
                assert was == is_now, (job_id, field.name)
    assert old.arrays.keys() == new.arrays.keys()
    for array_id, array in old.arrays.items():
        again = new.arrays[array_id]
        assert (array.live, array.active) == (again.live, again.active)
        assert +array.ended == +again.ended
    alone_old, alone_new = (
        {i for i in world.queue.ids() if world.jobs[i].element is None} for world in (old, new)
    )
    # Whose image had gone and is looked for again: the first start after the restart tells.
    looked_for = {i for state in old.images.values() for i in state.waiting if old.jobs[i].image_id}
    assert alone_old <= alone_new <= alone_old | looked_for
    assert (old.cpu_running, old.preemptible) == (new.cpu_running, new.preemptible)
    assert by_slice(old) == by_slice(new)
    assert old.uses == new.uses


def by_slice(world: World) -> dict[tuple[int, str], Lease]:
    """Return the leases; in which order a gang has its slices is told by its attempt."""
    return {(i, lease.slice.uuid): lease for i, leases in world.leases.items() for lease in leases}


TestRestarts = Restarts.TestCase
TestRestarts.settings = settings(
    max_examples=many(20, 100),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
