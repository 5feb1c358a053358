"""The queue replayed in virtual time, with the same decisions as in earnest.

Nothing fails in a replay: containers start at once and end after the time that is given for them,
slices are proven free at once, images are here, and whoever is waited for completes.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from launcher.core.dispatch import handle, serve
from launcher.core.jobs import admission
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action, StartAttempt, StopAttempt
from launcher.core.messages.changes import Changes
from launcher.core.model.arrays import Array
from launcher.core.model.job import ALONE, Job, State
from launcher.core.world.alarms import boundaries, next_alarm
from launcher.core.world.world import World

NEVER = 366 * 86400.0
"""A replay that has not come to rest after this many seconds will not."""

ROUNDING = 1e-5
"""What is lost of a second where the two clocks are taken for one another."""

NO_TIME = "1970-01-01T00:00:00.000000Z"


@dataclass(frozen=True, slots=True)
class Ran:
    """One attempt of a replay; ``start`` and ``end`` are seconds since 1970."""

    job: Job
    slices: tuple[str, ...]
    start: float
    end: float


@dataclass(slots=True)
class Replay:
    """A world that is played forward. It is used up: give it a copy of its own.

    ``runtime`` tells how many seconds a job takes. ``arrivals`` are submits still to come, by
    their time (seconds since 1970).
    """

    world: World
    now: ev.Now
    runtime: Callable[[Job], float]
    arrivals: Sequence[tuple[float, ev.Submitted]] = ()
    ran: list[Ran] = field(default_factory=list)
    _ends: list[tuple[float, int, int]] = field(default_factory=list)
    _begun: dict[int, tuple[float, tuple[str, ...]]] = field(default_factory=dict)
    _next_arrival: int = 0

    def run(self, until: Callable[[], bool] | None = None) -> None:
        """Play until nothing more happens, or ``until`` says that it is enough."""
        self._prepare()
        last = self.now.wall + NEVER
        while True:
            self._serve()
            if until is not None and until():
                return
            at = self._next()
            if at is None or at > last:
                return
            self._advance(at)

    def _prepare(self) -> None:
        """Open the gates, and take up what runs already."""
        world = self.world
        world.reconciling = world.draining = world.engine_down = None
        world.gpu_down = world.gpu_support = None
        for job in list(world.jobs.values()):
            if job.state in (State.STARTING, State.RUNNING):
                self._take_up(job)
            elif job.state is State.COMPLETING:
                uuids = tuple(lease.slice.uuid for lease in world.leases.get(job.id, ()))
                self._do(handle(world, ev.SlicesIdle(job.id, job.attempt, uuids), self.now))

    def _take_up(self, job: Job) -> None:
        granted = self.world.attempts[job.id].granted_at
        if job.state is State.STARTING:
            self._do(handle(self.world, self._started(job), self.now))
        end = max(self.now.wall, granted + self.runtime(job))
        self._begun[job.id] = (granted, job.slices)
        heapq.heappush(self._ends, (end, job.id, job.attempt))

    def _serve(self) -> None:
        self._resolve_images()
        self._do(serve(self.world, self.now))
        self.world.changes = Changes()

    def _resolve_images(self) -> None:
        for key, state in list(self.world.images.items()):
            for job_id in state.waiting:
                self.world.jobs[job_id].image_id = None
            self._do(handle(self.world, ev.ImageResolved(key, "replayed", pulled=True), self.now))

    def _do(self, actions: list[Action]) -> None:
        """Carry out in no time what the core asks for."""
        for action in actions:
            if isinstance(action, StartAttempt):
                job = self.world.jobs[action.job]
                self._begun[job.id] = (self.now.wall, job.slices)
                end = self.now.wall + self.runtime(job)
                heapq.heappush(self._ends, (end, job.id, job.attempt))
                self._do(handle(self.world, self._started(job), self.now))
            elif isinstance(action, StopAttempt):
                heapq.heappush(self._ends, (self.now.wall, action.job, action.attempt))

    @staticmethod
    def _started(job: Job) -> ev.AttemptStarted:
        return ev.AttemptStarted(job.id, job.attempt, "replayed", NO_TIME)

    def _next(self) -> float | None:
        """Return when something happens next, in seconds since 1970."""
        world, now = self.world, self.now
        times = list(self._moments())
        if len(world.queue):
            times += [at for at in boundaries(world, now.wall, now.boot) if at > now.wall]
        return min(times, default=None)

    def _moments(self) -> Iterator[float]:
        if self._ends:
            yield max(self._ends[0][0], self.now.wall)
        if self.world.begins:
            yield max(self.world.begins[0][0], self.now.wall)
        if self._next_arrival < len(self.arrivals):
            yield max(self.arrivals[self._next_arrival][0], self.now.wall)
        alarm = next_alarm(self.world)
        if alarm is not None:
            yield self.now.wall + max(0.0, alarm - self.now.boot)

    def _advance(self, at: float) -> None:
        boot = self.now.boot + (at - self.now.wall)
        alarm = next_alarm(self.world)
        if alarm is not None and 0.0 < alarm - boot < ROUNDING:
            boot = alarm
        self.now = now = ev.Now(at, boot)
        while self._ends and self._ends[0][0] <= at:
            _, job_id, attempt = heapq.heappop(self._ends)
            self._end(job_id, attempt)
        while self._next_arrival < len(self.arrivals):
            when, submitted = self.arrivals[self._next_arrival]
            if when > at:
                break
            self._next_arrival += 1
            self._do(handle(self.world, submitted, now))
        alarm = next_alarm(self.world)
        if alarm is not None and alarm <= boot:
            self._do(handle(self.world, ev.Tick(), now))
        elif self.world.begins and self.world.begins[0][0] <= at:
            self._do(admission.admit_due(self.world, now))

    def _end(self, job_id: int, attempt: int) -> None:
        job = self.world.jobs.get(job_id)
        if job is None or job.attempt != attempt or job.state is not State.RUNNING:
            return
        start, slices = self._begun.pop(job_id)
        self.ran.append(Ran(job, slices, start, self.now.wall))
        event = ev.AttemptEnded(job_id, attempt, 0, False, None, None, job.slices)
        self._do(handle(self.world, event, self.now))


Medians = Mapping[tuple[int, str], float]
"""Seconds that a user's completed jobs of one name took, by (uid, name)."""


def runtimes(world: World, medians: Medians) -> Callable[[Job], float]:
    """Return how long a job takes: the median of its owner and name if known, else its limit.

    A job without a limit takes as long as the rules assume; none takes longer than its limit.
    """

    def seconds(job: Job) -> float:
        limit = math.inf if job.time_limit is None else job.time_limit
        known = medians.get((job.owner.uid, job.name))
        if known is None:
            return limit if limit < math.inf else world.rules.assumed_time_limit
        return min(known, limit)

    return seconds


def idle_copy(world: World, jobs: Sequence[Job]) -> World:
    """Return a world with the same machine, users and rules, idle, where these jobs wait.

    What they wait for and is not among them counts as done.
    """
    copy = World(world.store, world.next_id, world.cpu_slots, world.rules)
    copy.gpus, copy.instances, copy.hidden = world.gpus, world.instances, world.hidden
    copy.uses, copy.weights = dict(world.uses), dict(world.weights)
    copy.groups = dict(world.groups)
    copy.reservations = dict(world.reservations)
    copy.reconciling = None
    for uuid, state in world.slices.items():
        copy.slices[uuid] = dataclasses.replace(state, lease=None, beside=None)
    for array_id in {job.element.array for job in jobs if job.element is not None}:
        array = world.arrays[array_id]
        copy.arrays[array_id] = Array(
            array.id, array.owner, array.name, array.size, array.max_parallel, array.indices
        )
        copy.arrays[array_id].ended.update(array.ended)
    left = {job.id for job in jobs} | copy.arrays.keys()
    for job in jobs:
        waits_for = {d: None for d in job.waits_for if d.job in left or d == ALONE}
        if len(waits_for) < len(job.waits_for) and any(d.either for d in job.waits_for):
            waits_for = {ALONE: None} if ALONE in waits_for else {}
        copy.add(dataclasses.replace(job, waits_for=waits_for))
    return copy
