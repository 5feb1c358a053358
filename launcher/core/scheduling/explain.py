"""Why a job waits, from the scheduler's own rules.

A pending job has at least one blocker if and only if ``schedule`` would not start it.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Iterator, Sequence

from launcher.core.messages.events import Now
from launcher.core.model.job import Job, Reason, State
from launcher.core.model.slice_state import SliceState
from launcher.core.scheduling import quota, reservation_windows
from launcher.core.scheduling.blockers import (
    Blocker,
    behind,
    gate_reason,
    image_blocker,
    need_with_limit,
    own_blockers,
    turn_blocker,
    utc_text,
)
from launcher.core.scheduling.holdback import Key, limit_in
from launcher.core.scheduling.lookalikes import similar_slices
from launcher.core.scheduling.matching import slices_wanted, wanted
from launcher.core.scheduling.scheduler import QueueWalk, gate, settled
from launcher.core.world.pending_queue import Lane
from launcher.core.world.world import World
from launcher.spec.gpus import GpuRequest

EXACT_UP_TO = 5000
"""In a longer queue a place is computed without simulating the order of service."""


class Explainer:
    """Explains any number of jobs at one time; the queue is walked once."""

    def __init__(self, world: World, now: Now) -> None:
        self.world, self.now = world, now
        self._of_lane: dict[Lane, Reason | None] = {}
        self._slices: dict[GpuRequest, frozenset[str]] = {}
        # Needs that could use the same slices share an entry, because there are few such sets.
        self._rivals: dict[frozenset[str], tuple[GpuRequest, ...]] = {}
        self._heads: dict[frozenset[str] | GpuRequest, list[Key]] = {}

    @functools.cached_property
    def walk(self) -> QueueWalk:
        """The walk, after every job in front has withheld its slices."""
        return settled(self.world, self.now)

    def position(self, job: Job) -> int | None:
        """Return a job's place in the queue from 1, None if it is not in it.

        In a very long queue the place follows past use only; otherwise the order of service.
        """
        if job.id not in self.world.queue:
            return None
        if len(self.world.queue) <= EXACT_UP_TO:
            order = QueueWalk(self.world, self.now).order()
            return next(place for place, other in enumerate(order, start=1) if other is job)
        key, jobs = self.walk.key(job), self.world.jobs
        return 1 + sum(self.walk.key(jobs[i]) < key for i in self.world.queue.ids())

    def in_front(self, job: Job, most: int) -> list[Job]:
        """Return the first jobs in front of this one that could use one of its possible slices."""
        key, jobs = self.walk.key(job), self.world.jobs
        needs = set(self._competing(job.need))

        def competes(job_id: int) -> bool:
            other = jobs[job_id]
            return other.need in needs and self.walk.key(other) < key

        return QueueWalk(self.world, self.now).first(most, competes)

    def _competing(self, need: GpuRequest) -> tuple[GpuRequest, ...]:
        """Return the needs that could compete with this one, including itself."""
        mine = self._could_use(need)
        if not mine:
            return (need,)
        if mine not in self._rivals:
            others = self.world.queue.needs()
            self._rivals[mine] = tuple(n for n in others if self._could_use(n) & mine)
        return self._rivals[mine]

    def _could_use(self, need: GpuRequest) -> frozenset[str]:
        """Return the UUIDs of the slices that a need could use, free or not."""
        if need not in self._slices:
            self._slices[need] = frozenset(s.slice.uuid for s in wanted(self.world, need))
        return self._slices[need]

    def blockers(self, job: Job) -> list[Blocker]:
        """Return what keeps a pending job from starting; empty for a job that is not pending."""
        if job.state is not State.PENDING:
            return []
        result = [*self._gate(job), *own_blockers(self.world, job, self.now)]
        if job.id in self.world.queue:
            return result or self._in_queue(job)
        if not any(b.reason in _OUT_OF_QUEUE for b in result):
            turn = turn_blocker(self.world, job) if job.image_id is not None else None
            result.append(turn or image_blocker(self.world, job))
        return result

    def reason(self, job: Job) -> Reason | None:
        """Return the first blocker's reason; quick for all but the first jobs of a long queue."""
        if job.id in self.world.queue:
            lane = self.world.queue.lane_of(job.id)
            if lane not in self._of_lane:
                head = self.world.queue.head(lane)
                first = self.blockers(self.world.jobs[head[1]]) if head is not None else []
                self._of_lane[lane] = first[0].reason if first else None
            of_lane = self._of_lane[lane]
            if of_lane in _OF_ALL:
                return of_lane
            if of_lane is Reason.RESOURCES and not self.world.queue.leads(job.id):
                return Reason.PRIORITY
        reason = self.blockers(job)
        return reason[0].reason if reason else None

    def earliest(self, job: Job) -> float | None:
        """Return in how many seconds enough slices could be free if no job were in front.

        Running jobs end at their time limits, preemptible ones when they may be preempted. None if
        unknown: the job is held, or nothing starts on this machine now.
        """
        if job.held is not None or gate(self.world, job.need, on_host=job.on_host):
            return None
        count = slices_wanted(self.world, job.need)
        usable = [s for s in wanted(self.world, job.need) if s.usable]
        if count == 0 or len(usable) < count:
            return None
        begins = 0.0 if job.begin is None else job.begin - self.now.wall
        free = sorted(self._free_in(job, s) for s in usable)
        return max(begins, free[count - 1])

    def _free_in(self, job: Job, state: SliceState) -> float:
        if state.lease is None:
            return 0.0
        holder = self.world.jobs[state.lease.job]
        seconds = limit_in(self.world, holder, self.now)
        if not holder.gives_way_to(job):
            return seconds
        ran = self.now.wall - (holder.started_wall or self.now.wall)
        return min(seconds, max(0.0, self.world.rules.preempt_after - ran))

    def _gate(self, job: Job) -> Iterator[Blocker]:
        world = self.world
        why = gate(world, job.need, on_host=job.on_host)
        if why is not None:
            yield Blocker(gate_reason(world), str(job.need), why)

    def _in_queue(self, job: Job) -> list[Blocker]:
        world, need = self.world, job.need
        if need.kind != "none" and (lacking := self.lacking(job)):
            return [lacking]
        over = quota.exceeded(world, job, None)
        if over is not None:
            return [Blocker(Reason.QUOTA, f"{over.need} ({over.whose})", over.have)]
        ahead = self._ahead(job)
        if self.walk.choose(job) is not None:
            return [] if world.queue.leads(job.id) else [behind(world, need, ahead)]
        if blocker := self._withheld(job):
            return [blocker]
        return [behind(world, need, ahead)] if ahead else [self._busy(job)]

    def _ahead(self, job: Job) -> tuple[int, ...]:
        """Return the first jobs of the lanes in front that want the same slices."""
        rivals = self._competing(job.need)
        wants = self._could_use(job.need) or job.need
        heads = self._heads.get(wants)
        if heads is None:
            result = (
                self.world.jobs[i]
                for need in rivals
                for _, (_, i, _) in self.world.queue.heads(need)
            )
            held_up = (j for j in result if quota.exceeded(self.world, j, None) is None)
            heads = self._heads[wants] = sorted(self.walk.key(other) for other in held_up)
        before = bisect.bisect_left(heads, self.walk.key(job))
        return tuple(job_id for _, _, job_id in heads[:before])

    def lacking(self, job: Job) -> Blocker | None:
        """Return the blocker if too few slices exist, however long the job waits."""
        fit, count = wanted(self.world, job.need), slices_wanted(self.world, job.need)
        if len(fit) < count:
            return self._missing(job.need, len(fit))
        usable = sum(s.usable for s in fit)
        if usable >= count:
            return None
        why = "; ".join(f"{s.slice.uuid} {s.unusable}" for s in fit if not s.usable)
        reason = Reason.RESOURCES if any(s.beside for s in fit) else Reason.SLICE_DRAINED
        if any(s.silent for s in fit):
            reason = Reason.GPU_UNAVAILABLE
        if any(s.foreign for s in fit):
            reason = Reason.FOREIGN_USE
        return Blocker(reason, str(job.need), f"{usable} of {len(fit)} usable: {why}")

    def _missing(self, need: GpuRequest, count: int) -> Blocker:
        """Return the blocker that too few exist, unless a silent GPU may have more."""
        have, unread = f"{count} exist now", self.world.silent.get("")
        if unread is None and self.world.gpus_lost:
            unread = f"{self.world.gpus_lost} GPU(s) fell off the bus: look at dmesg"
        if unread is None:
            return Blocker(
                Reason.NO_SUCH_PROFILE, str(need), have + similar_slices(self.world, need)
            )
        return Blocker(Reason.GPU_UNAVAILABLE, str(need), f"{have}; {unread}")

    def _withheld(self, job: Job) -> Blocker | None:
        """Return the blocker that free slices are withheld for a gang in front, or reserved."""
        if job.need.kind == "none":
            return self._withheld_slots(job)
        free = [s for s in wanted(self.world, job.need) if s.free]
        if len(free) < slices_wanted(self.world, job.need):
            return None
        held_back = [s for s in free if self.walk.withheld_from(job, s.slice.uuid)]
        if held_back:
            jobs = tuple(sorted({self.walk.withheld[s.slice.uuid].job for s in held_back}))
            names = " and ".join(f"job {self.world.ref(i)}" for i in jobs)
            seconds = max(self.walk.withheld[s.slice.uuid].seconds for s in held_back)
            have = f"{len(held_back)} free, withheld for {names} for up to {seconds:.0f} s"
            return Blocker(Reason.PRIORITY, need_with_limit(job), have, jobs)
        return self._reserved(job, free)

    def _withheld_slots(self, job: Job) -> Blocker | None:
        """Return the jobs that withhold free CPU slots that would suffice for this job."""
        world, slots = self.world, self.walk.withheld_slots
        holders = slots.holders(job, self.walk.key(job))
        if not holders or world.cpu_slots - world.cpu_used < job.need.count:
            return None
        jobs = tuple(sorted(holder.job for holder, _ in holders))
        names = " and ".join(f"job {self.world.ref(i)}" for i in jobs)
        count, seconds = sum(n for _, n in holders), max(holder.seconds for holder, _ in holders)
        have = f"{count} CPU slots free, withheld for {names} for up to {seconds:.0f} s"
        return Blocker(Reason.PRIORITY, need_with_limit(job), have, jobs)

    def _reserved(self, job: Job, free: list[SliceState]) -> Blocker | None:
        for state in free:
            result = reservation_windows.barring(self.world, job, state.slice.uuid, self.now)
            if result is not None:
                window = f"from {utc_text(result.start)} to {utc_text(result.end)}"
                have = f"reserved for {result.beneficiary} {window}"
                return Blocker(Reason.RESERVATION, need_with_limit(job), have)
        return None

    def _busy(self, job: Job) -> Blocker:
        world, need = self.world, job.need
        if need.kind == "none":
            used = f"{world.cpu_used} of {world.cpu_slots} CPU slots are in use"
            return Blocker(Reason.RESOURCES, str(need), used, tuple(sorted(world.cpu_running)))
        fit = wanted(world, need)
        busy = [s.lease.job for s in fit if s.lease is not None]
        jobs = tuple(sorted(set(busy)))
        give_way = sum(world.jobs[i].gives_way_to(job) for i in jobs)
        have = f"{len(busy)} of {len(fit)} in use"
        if give_way:
            after = world.rules.preempt_after
            have += (
                f"; {give_way} of these jobs can be preempted once they have run for {after:g} s"
            )
        return Blocker(Reason.RESOURCES, str(need), have, jobs)


GATES: tuple[tuple[str, frozenset[Reason]], ...] = (
    (
        "hold",
        frozenset(
            {
                Reason.JOB_HELD_USER,
                Reason.JOB_HELD_ADMIN,
                Reason.NEVER_STARTED,
                Reason.RESTORED,
                Reason.IMAGE_PULL_FAILED,
                Reason.DEPENDENCY_NEVER_SATISFIED,
            }
        ),
    ),
    ("begin", frozenset({Reason.BEGIN_TIME})),
    ("dependencies", frozenset({Reason.DEPENDENCY})),
    ("image", frozenset({Reason.IMAGE_PULL})),
    ("array", frozenset({Reason.ARRAY_LIMIT})),
    ("machine", frozenset({Reason.RECONCILING, Reason.DRAINING, Reason.ENGINE_UNAVAILABLE})),
    ("GPUs", frozenset({Reason.GPU_UNAVAILABLE})),
    ("slices", frozenset({Reason.NO_SUCH_PROFILE, Reason.SLICE_DRAINED, Reason.FOREIGN_USE})),
    ("quota", frozenset({Reason.QUOTA})),
    ("reservations", frozenset({Reason.RESERVATION})),
    ("order", frozenset({Reason.PRIORITY})),
    ("free slices", frozenset({Reason.RESOURCES})),
)
"""The gates of a job before its start, in order, and the reasons of each."""

_OF_ALL = frozenset(
    {
        Reason.RECONCILING,
        Reason.DRAINING,
        Reason.ENGINE_UNAVAILABLE,
        Reason.GPU_UNAVAILABLE,
        Reason.NO_SUCH_PROFILE,
        Reason.SLICE_DRAINED,
        Reason.FOREIGN_USE,
        Reason.QUOTA,
    }
)
"""Blockers that apply to all jobs of a lane if they apply to its first."""

_OUT_OF_QUEUE = frozenset(
    {
        Reason.JOB_HELD_USER,
        Reason.JOB_HELD_ADMIN,
        Reason.NEVER_STARTED,
        Reason.RESTORED,
        Reason.IMAGE_PULL_FAILED,
        Reason.DEPENDENCY_NEVER_SATISFIED,
        Reason.BEGIN_TIME,
        Reason.DEPENDENCY,
    }
)
"""The job's own blockers, which keep it out of the queue and delay finding its image."""


def blockers(world: World, job: Job, now: Now) -> list[Blocker]:
    """Return the blockers of one pending job; see ``Explainer``."""
    return Explainer(world, now).blockers(job) if job.state is State.PENDING else []


def gates(blockers: Sequence[Blocker]) -> list[tuple[str, Blocker | None]]:
    """Return the gates of a job with these blockers, in order, up to the last relevant one."""
    result: list[tuple[str, Blocker | None]] = []
    for name, reasons in GATES:
        blocked = next((b for b in blockers if b.reason in reasons), None)
        result.append((name, blocked))
    last = max((i for i, (_, blocked) in enumerate(result) if blocked), default=len(result) - 1)
    return result[: last + 1]
