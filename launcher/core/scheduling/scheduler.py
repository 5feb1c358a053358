"""Which jobs start now, and on what: one walk over the heads of the queue.

Order is priority, then fair share, then age. A gang that cannot be placed withholds the free slices
that it could use, so that smaller jobs behind it cannot starve it; other jobs continue. ``explain``
walks the same way: the rule that refuses a start explains it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator

from launcher.core.messages.actions import Action, StartAttempt
from launcher.core.messages.events import Now
from launcher.core.model.gpu import Slice
from launcher.core.model.ids import container_name, host_name
from launcher.core.model.job import Job, State
from launcher.core.model.lease import Attempt, Lease
from launcher.core.model.slice_state import SliceState
from launcher.core.scheduling import quota, reservation_windows
from launcher.core.scheduling.cpu_slots import KeptSlots
from launcher.core.scheduling.fairshare import FairShareOrder
from launcher.core.scheduling.holdback import HeldBack, Key, runs_for, withhold
from launcher.core.scheduling.matching import SliceScarcity, slices_wanted, wanted
from launcher.core.world import lifecycle
from launcher.core.world.pending_queue import Lane
from launcher.core.world.world import World
from launcher.spec.gpus import GpuRequest


def gate(world: World, need: GpuRequest, *, on_host: bool) -> str | None:
    """Return the sentence with the reason why no such job can start, None if they can.

    Without Docker the use of slices by containers is unknown, so host jobs need it for slices.
    """
    if why := world.reconciling or world.draining:
        return why
    needs_slices = need.kind != "none"
    if (why := world.engine_down) and (needs_slices or not on_host):
        return f"{UNKNOWN_USE}: {why}" if on_host else why
    if not needs_slices:
        return None
    return world.gpu_down or (None if on_host else world.gpu_support)


UNKNOWN_USE = "no slice is leased while Docker cannot tell which ones containers use"


class QueueWalk:
    """One walk over the queue in its order, with the slices that jobs in front withhold."""

    def __init__(self, world: World, now: Now) -> None:
        self.world, self.now = world, now
        self.standing = FairShareOrder(world, now.wall)
        self.withheld: dict[str, HeldBack] = {}
        self.withheld_slots = KeptSlots(world)
        self._scarcity = SliceScarcity(world)
        self._gibs: dict[GpuRequest, float] = {}

    def key(self, job: Job) -> Key:
        """Return a job's place in the order."""
        return (-job.priority, self.standing.of(job.owner.uid), job.id)

    def heads(self) -> Iterator[Job]:
        """Yield the first job of each lane in order, and the next of a lane whose first started.

        Needs without a free slice are left out: their jobs can neither start nor withhold a slice.
        """
        heaps = [(need, self._lanes(need)) for need in self.world.queue.needs()]
        tops = [(heap[0][0], i) for i, (_, heap) in enumerate(heaps) if heap]
        heapq.heapify(tops)
        while tops:
            _, i = heapq.heappop(tops)
            need, heap = heaps[i]
            if not self._any_free(need):
                continue  # the same for all lanes of this need
            key, lane = heapq.heappop(heap)
            job = self.world.jobs[key[2]]
            if (now := self.key(job)) > key:  # other jobs of this owner started meanwhile
                heapq.heappush(heap, (now, lane))
            else:
                yield job
                following = self.world.queue.head(lane)
                if job.state is not State.PENDING and following is not None:
                    heapq.heappush(heap, (self.key(self.world.jobs[following[1]]), lane))
            if heap:
                heapq.heappush(tops, (heap[0][0], i))

    def _lanes(self, need: GpuRequest) -> list[tuple[Key, Lane]]:
        """Return a heap of the lanes of a need with the places of their first jobs."""
        closed = {of_host: gate(self.world, need, on_host=of_host) for of_host in (False, True)}
        if all(closed.values()) or not self._any_free(need):
            return []
        of = self.standing.of
        result = [head for head in self.world.queue.heads(need) if not closed[head[0].on_host]]
        heap = [((first, of(lane.uid), job_id), lane) for lane, (first, job_id, _) in result]
        heapq.heapify(heap)
        return heap

    def first(self, most: int, keep: Callable[[int], bool] = lambda _: True) -> list[Job]:
        """Return the first jobs in the order of service that ``keep`` accepts."""
        return list(itertools.islice(self.order(most, keep), most))

    def order(
        self, most: int | None = None, keep: Callable[[int], bool] = lambda _: True
    ) -> Iterator[Job]:
        """Yield waiting jobs in the order of service, whatever they need.

        Each job's entry charge counts when it is served, so that users take turns as in reality.
        This uses up the walk.
        """
        jobs, queue = self.world.jobs, self.world.queue
        heap: list[tuple[Key, int, list[int]]] = []
        for number, lane in enumerate(queue.lanes()):
            ids = queue.first(lane, most or len(queue), keep)[::-1]
            if ids:
                heap.append((self.key(jobs[ids[-1]]), number, ids))
        heapq.heapify(heap)
        while heap:
            key, number, ids = heapq.heappop(heap)
            job = jobs[key[2]]
            if (now := self.key(job)) == key:
                yield job
                ids.pop()
                self.standing.served(job.owner.uid, self._gib(job.need))
                if not ids:
                    continue
                now = self.key(jobs[ids[-1]])
            heapq.heappush(heap, (now, number, ids))

    def _gib(self, need: GpuRequest) -> float:
        """Return the GiB that a job with this need would be charged for."""
        if need not in self._gibs:
            least = wanted(self.world, need)[: slices_wanted(self.world, need)]
            mib = sum(state.slice.share_mib for state in least)
            self._gibs[need] = mib / 1024 or need.count * self.world.rules.fair_share.cpu_slot_gib
        return self._gibs[need]

    def _any_free(self, need: GpuRequest) -> bool:
        if need.kind == "none":
            return self.world.cpu_used < self.world.cpu_slots
        return any(s.free for s in wanted(self.world, need))

    def choose(self, job: Job) -> tuple[Slice, ...] | None:
        """Return the slices to lease, all or nothing; None if the job cannot start now."""
        world, need = self.world, job.need
        if gate(world, need, on_host=job.on_host):
            return None
        if need.kind == "none":
            fits = self.withheld_slots.free_for(job, self.key(job)) >= need.count
            return () if fits and quota.exceeded(world, job, ()) is None else None
        free = [s for s in wanted(world, need) if self.open(job, s)]
        free = self._scarcity.least_first(need, free)
        count = slices_wanted(world, need)
        if len(free) < count:
            return None
        free.sort(key=lambda s: s.failed_starts)  # a bad slice must not use up all tries
        chosen = tuple(s.slice for s in free[:count])
        return chosen if quota.exceeded(world, job, chosen) is None else None

    def started(self, job: Job) -> None:
        """Record that a job was granted slices: fewer are free, and its owner uses more."""
        self.standing.started(job)
        self._scarcity = SliceScarcity(self.world)

    def open(self, job: Job, state: SliceState) -> bool:
        """Whether this job may have this slice now."""
        return (
            state.free
            and not self.withheld_from(job, state.slice.uuid)
            and reservation_windows.barring(self.world, job, state.slice.uuid, self.now) is None
        )

    def withheld_from(self, job: Job, uuid: str) -> bool:
        """Whether a slice is withheld for a job in front, and this job would not end in time."""
        holder = self.withheld.get(uuid)
        if holder is None or holder.key >= self.key(job):
            return False
        seconds = runs_for(job)
        return seconds is None or seconds > holder.seconds

    def refuse(self, job: Job) -> None:
        """Withhold the slices of a job that cannot start from those behind it."""
        world = self.world
        if job.need.kind == "none":
            if quota.exceeded(world, job, ()) is None:
                self.withheld_slots.withhold(job, self.key(job), self.now)
            return
        gang = slices_wanted(world, job.need) > 1
        if not gang or quota.exceeded(world, job, None) is not None:
            return
        usable = [
            s
            for s in wanted(world, job.need)
            if s.usable
            and s.slice.uuid not in self.withheld
            and reservation_windows.barring(world, job, s.slice.uuid, self.now) is None
        ]
        withhold(world, self.key(job), usable, self.withheld, self.now)


def settled(world: World, now: Now) -> QueueWalk:
    """Return a walk in which no job started, and every job in front has withheld its slices."""
    walk = QueueWalk(world, now)
    for job in walk.heads():
        if walk.choose(job) is None:
            walk.refuse(job)
    return walk


def schedule(world: World, now: Now) -> list[Action]:
    """Start every job that can start now; return the actions, record the changes.

    A start may use up the quota of a gang that withholds slices, and so free them for jobs that
    could not have them. So if slices are withheld, a pass that started jobs is repeated.
    """
    actions: list[Action] = []
    while len(world.queue):
        walk = QueueWalk(world, now)
        started = _start(walk)
        actions += started
        if not started or not (walk.withheld or walk.withheld_slots.withheld):
            break
    return actions


def _start(walk: QueueWalk) -> list[Action]:
    """Make one pass: start the jobs that can start; the others withhold their slices."""
    actions: list[Action] = []
    for job in walk.heads():
        slices = walk.choose(job)
        if slices is None:
            walk.refuse(job)
            continue
        actions.append(grant(walk.world, job, slices, walk.now))
        walk.started(job)
    for held_back in (
        *walk.withheld.values(),
        *(held_back for held_back, _ in walk.withheld_slots.withheld),
    ):
        walk.world.keeping.setdefault(held_back.job, walk.now.boot)
    return actions


def grant(world: World, job: Job, slices: tuple[Slice, ...], now: Now) -> StartAttempt:
    """Lease the slices to the job's next attempt; return the action that starts it."""
    lifecycle.check(job, lifecycle.Granted, State.STARTING)
    assert job.image_id is not None, "only pinned jobs are in the queue"
    world.queue.discard(job.id)
    world.keeping.pop(job.id, None)
    job.attempt += 1
    job.state, job.reason, job.message = State.STARTING, None, None
    job.slices = tuple(s.uuid for s in slices)
    job.container_id = job.started_at = job.ended_at = None
    named = host_name if job.on_host else container_name
    name = named(world.store, job.id, job.attempt)
    attempt = Attempt(
        job.id, job.attempt, name, job.slices, job.image_id, now.wall, boot=world.boot
    )
    world.attempts[job.id] = attempt
    world.changes.attempts[(job.id, job.attempt)] = attempt
    for s in slices:
        world.grant(Lease(job.id, job.attempt, s, now.wall))
    world.activate(job)
    world.note(job, now.wall, "granted", f"attempt {job.attempt}: {', '.join(job.slices) or 'CPU'}")
    world.stories.setdefault(job.id, []).append(f"Granted -> STARTING as attempt {job.attempt}")
    return StartAttempt(
        job.id,
        job.attempt,
        name,
        slices,
        job.image_id,
        index=job.index,
        policy_version=job.policy_version,
    )
