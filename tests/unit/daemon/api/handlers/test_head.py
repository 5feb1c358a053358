"""The head of the queue: as sorting would give it, and without a look at every job that waits."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.core.messages import events as ev
from launcher.core.model.job import Job
from launcher.core.scheduling.explain import Explainer
from launcher.daemon.api.handlers.jobs import waiting_alone
from tests.support.builders import ALICE, CPU, Machine

MANY = 3000


class Counted(dict[int, Job]):
    """Jobs by id that count how often one is looked at."""

    looks = 0

    def __getitem__(self, job_id: int) -> Job:
        self.looks += 1
        return super().__getitem__(job_id)

    def values(self) -> Iterator[Job]:  # type: ignore[override]
        self.looks += len(self)
        return iter(super().values())


def first(machine: Machine, most: int) -> list[int]:
    explainer = Explainer(machine.world, machine.time)
    return [job.id for job in waiting_alone(explainer, most)]


def test_many_held_jobs_of_others_are_not_looked_at() -> None:
    machine = Machine(slices=[])
    machine.submit(*[CPU] * MANY, hold=True)
    machine.submit_array(MANY, hold=True)
    machine.world.jobs = counted = Counted(machine.world.jobs)
    assert len(first(machine, 50)) == 50
    assert counted.looks < 500


def test_what_is_queued_comes_before_what_is_held_and_each_in_its_order() -> None:
    machine = Machine(slices=[])
    machine.submit(*[CPU] * machine.world.cpu_slots)  # they start
    held = machine.submit(CPU, CPU, CPU, hold=True)
    queued = machine.submit(CPU, CPU)
    machine.tell(ev.EditAsked(held[2].id, ALICE, admin=True, priority=90))
    machine.tell(ev.HoldAsked(queued[0].id, 0, admin=True))
    wanted = [queued[1].id, held[2].id, held[0].id, held[1].id, queued[0].id]
    assert first(machine, 10) == wanted
    assert first(machine, 2) == wanted[:2]
