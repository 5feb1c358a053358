"""The first jobs of a lane are those that sorting would give, whoever has left or is left out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.core.model.job import Job
from launcher.core.world.pending_queue import SPARE, Aside, PendingQueue
from tests.support.builders import CPU, Machine


def queued(priorities: list[int]) -> tuple[PendingQueue, list[Job]]:
    machine, queue = Machine(slices=[], ready=False), PendingQueue()
    jobs = [machine.submit(CPU, priority=number)[0] for number in priorities]
    for job in jobs:
        queue.push(job)
    return queue, jobs


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=60),
    st.sets(st.integers(0, 59)),
    st.sets(st.integers(1, 60)),
    st.integers(1, 5),
)
def test_the_first_of_a_lane_are_those_that_sorting_gives(
    priorities: list[int], left: set[int], hidden: set[int], most: int
) -> None:
    queue, jobs = queued(priorities)
    lane = queue.lane_of(jobs[0].id)
    for number in left & set(range(len(jobs))):
        queue.discard(jobs[number].id)
    here = sorted((j for j in jobs if j.id in queue and j.id not in hidden), key=lambda j: j.order)
    assert queue.first(lane, most, lambda i: i not in hidden) == [job.id for job in here[:most]]


def test_also_where_most_of_a_long_lane_are_left_out() -> None:
    queue, jobs = queued([50] * 200)
    lane, last = queue.lane_of(jobs[0].id), [job.id for job in jobs[-3:]]
    assert queue.first(lane, 2, lambda i: i in last) == last[:2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50), st.booleans()), max_size=200))
def test_what_waits_outside_the_queue_is_in_order_however_often_it_came_and_left(
    changes: list[tuple[int, int, bool]],
) -> None:
    machine, aside = Machine(slices=[], ready=False), Aside()
    jobs = [machine.submit(CPU)[0] for _ in range(10)]
    for number, priority, comes in changes:
        job = jobs[number]
        job.priority = priority if comes else job.priority
        if comes:
            aside.put(job)
        else:
            aside.discard(job.id)
    here = [(-job.priority, job.id) for job in jobs if job.id in aside]
    assert list(aside) == [job_id for _, job_id in sorted(here)]
    assert len(aside._heap) <= 2 * len(here) + SPARE
