"""Rebuilds a world from Docker's containers, after its database was damaged or lost.

Docker's state wins: our running containers hold their slices, whatever was recorded. A job recorded
as started without a container is lost, and a job that may have started is never restarted (I14).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from launcher.core.jobs import attempts, dependencies
from launcher.core.jobs.stored_size import document_bytes
from launcher.core.messages import events as ev
from launcher.core.messages.changes import Quarantine
from launcher.core.model.gpu import Slice
from launcher.core.model.ids import container_name
from launcher.core.model.job import (
    ALONE,
    After,
    ImageKey,
    Job,
    Outcome,
    Owner,
    Reason,
    State,
    wall_of,
)
from launcher.core.model.lease import Attempt, Lease
from launcher.core.model.slice_state import SliceState
from launcher.core.world import lifecycle
from launcher.core.world.transitions import finish
from launcher.core.world.world import World
from launcher.spec.gpus import GpuRequest


@dataclass(frozen=True, slots=True)
class FoundContainer:
    """One of our containers, from its labels and Docker; ``document`` is its job's spec."""

    job: int
    attempt: int
    owner: Owner
    slices: tuple[str, ...]
    container: str
    container_id: str
    image_id: str
    job_name: str
    image: str
    document: str
    running: bool
    started_at: str | None
    ended_at: str | None
    exit_code: int
    oom: bool
    time_limit: float | None = None

    @property
    def ended(self) -> bool:
        """Whether it ran and has stopped."""
        return self.started_at is not None and not self.running


@dataclass(slots=True)
class RebuiltJobs:
    """The result: job ids, and sentences about uncertain facts."""

    running: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    starting: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Rebuild:
    """Rebuilds one world. ``ended`` returns a job that is recorded as DONE.

    ``started_attempts`` has each job's highest attempt with a log or a start record; ``slices``
    are NVML's.
    """

    world: World
    ended: Callable[[int], Job | None]
    started_attempts: Mapping[int, int]
    slices: Mapping[str, Slice]
    now: ev.Now
    restored: RebuiltJobs = field(default_factory=RebuiltJobs)

    def run(self, containers: Iterable[FoundContainer]) -> RebuiltJobs:
        """Apply Docker's state; the world's changes must be committed before anything else."""
        taken: set[int] = set()
        for item in _last_first(containers):
            if item.job not in taken and self._take(item):
                taken.add(item.job)
        active = [j for j in self.world.jobs.values() if j.state is not State.PENDING]
        for job in active:
            if job.id not in taken and job.state is not State.COMPLETING:
                self._lose(job)
            elif job.state is State.COMPLETING:  # without slices it has ended
                self._attempt_of(job)
                attempts.idle(self.world, ev.SlicesIdle(job.id, job.attempt, ()), self.now)
        for job in [j for j in self.world.jobs.values() if j.state is State.PENDING]:
            self._look_at_waiting(job)
        dependencies.settle(self.world, self.now)
        self._distrust(containers)
        pending = State.PENDING
        self.restored.waiting = [j.id for j in self.world.jobs.values() if j.state is pending]
        return self.restored

    def _take(self, container: FoundContainer) -> bool:
        """Move a job to its container's state; False if the record is ahead of the container."""
        if container.running and container.job in self.restored.running:
            for uuid in container.slices:
                attempt = f"attempt {container.attempt} is also on {uuid}"
                text = f"job {container.job} runs twice: {attempt}"
                self._doubt(uuid, text)
            return True
        job = self.world.jobs.get(container.job)
        done = None if job is not None else self.ended(container.job)
        if done is not None:
            if container.attempt <= done.attempt and not container.running:
                return False
            job = self._reopen(done)
        if job is not None and _is_ahead(job, container):
            return False
        if job is not None and _ends_already(job, container):
            self._hold(job, container)
            return True
        self._place(job or self._new(container), container)
        return True

    def _reopen(self, job: Job) -> Job:
        self.world.changes.reopened.add(job.id)
        job.state, job.outcome, job.exit_code = State.PENDING, None, None
        if job.element is not None and job.element.array not in self.world.arrays:
            job.element = None
        self.world.add(job)
        return job

    def _new(self, container: FoundContainer) -> Job:
        """Return a job of which nothing is left but its container."""
        need = GpuRequest("uuid", count=len(container.slices), uuids=container.slices)
        job = Job(
            id=container.job,
            owner=container.owner,
            name=container.job_name,
            need=need if container.slices else GpuRequest("none"),
            image=ImageKey(container.image, "missing"),
            priority=50,
            submitted_at=wall_of(container.started_at) or self.now.wall,
            time_limit=container.time_limit,
            image_id=container.image_id,
            kept_bytes=document_bytes(container.document),
        )
        self.world.add(job)
        self.world.changes.new_jobs.append((job, container.document))
        self.restored.doubts.append(
            f"job {job.ref}: only image, command and slices of its request are known"
        )
        return job

    def _place(self, job: Job, container: FoundContainer) -> None:
        world, wall = self.world, wall_of(container.started_at) or self.now.wall
        world.queue.discard(job.id)
        world.deactivate(job)
        world.aside.discard(job.id)
        job.state = State.RUNNING if container.started_at else State.STARTING
        job.outcome = job.again = job.exit_code = job.ended_at = job.held = job.reason = None
        job.attempt, job.container_id = container.attempt, container.container_id
        job.started_at, job.started_wall = (
            container.started_at,
            wall if container.started_at else None,
        )
        job.image_id = container.image_id
        attempt = Attempt(
            job.id, container.attempt, container.container, container.slices,
            container.image_id, wall, container.container_id, container.started_at,
        )  # fmt: skip
        world.attempts[job.id] = world.changes.attempts[(job.id, attempt.number)] = attempt
        self._hold(job, container)
        world.activate(job)
        world.note(
            job, self.now.wall, "rebuilt", f"attempt {container.attempt} from {container.container}"
        )
        if container.ended and not job.slices and container.slices:
            self._end(job, container)
        if not container.started_at and len(job.slices) < len(container.slices):
            text = "its slices are in use"
            refused = ev.StartFailed(job.id, job.attempt, ev.StartFailure.FOREIGN, text)
            attempts.start_failed(world, refused, self.now)
        restored = self.restored
        (
            restored.running
            if container.running
            else restored.ended
            if container.ended
            else restored.starting
        ).append(job.id)

    def _hold(self, job: Job, container: FoundContainer) -> None:
        """Lease a container's slices to its job; an ended one gets none that other jobs run on."""
        world = self.world
        for lease in list(world.leases.get(job.id, ())):
            if lease.attempt != container.attempt or lease.slice.uuid not in container.slices:
                self._let_go(lease)
        for uuid in container.slices:
            state = world.slices.get(uuid)
            held = state.lease if state is not None else None
            if held is not None and held.job == job.id:
                continue
            if held is not None and (container.ended or held.job in self.restored.running):
                if container.running:
                    text = f"{uuid} is used by jobs {held.job} and {job.id}, which both run"
                    self._doubt(uuid, text)
                continue
            if held is not None:
                self._let_go(held)
            recorded = state.slice if state is not None and state.slice.gpu_uuid else None
            shown = self.slices.get(uuid) or recorded or Slice(uuid, "", 0, "", None, 0)
            granted = wall_of(container.started_at) or self.now.wall
            world.grant(Lease(job.id, container.attempt, shown, granted))
        job.slices = tuple(lease.slice.uuid for lease in world.leases.get(job.id, ()))

    def _doubt(self, uuid: str, why: str) -> None:
        """Bar a slice that two jobs use, until an admin has checked it."""
        self.restored.doubts.append(why)
        self.world.slices.setdefault(uuid, SliceState(Slice(uuid, "", 0, "", None, 0), lost=True))
        self.world.quarantine(uuid, Quarantine(why, lasting=True, since=self.now.wall))

    def _let_go(self, lease: Lease) -> None:
        """End a lease that is wrong; it is not charged."""
        lease.released_at = self.now.wall
        self.world.slices[lease.slice.uuid].lease = None
        self.world.leases[lease.job].remove(lease)
        self.world.changes.leases[(lease.job, lease.attempt, lease.slice.uuid)] = lease

    def _end(self, job: Job, container: FoundContainer) -> None:
        event = ev.AttemptEnded(
            job.id,
            job.attempt,
            container.exit_code,
            container.oom,
            container.started_at,
            container.ended_at,
        )
        attempts.ended(self.world, event, self.now)

    def _lose(self, job: Job) -> None:
        """End a started job without a container: its outcome cannot be known."""
        self._attempt_of(job)
        text = "the database was damaged, and its container is gone"
        attempts.lost(self.world, ev.AttemptLost(job.id, job.attempt, text), self.now)
        self.restored.lost.append(job.id)

    def _attempt_of(self, job: Job) -> None:
        """Create the attempt of a started job if it is not recorded any more."""
        world = self.world
        if job.id not in world.attempts:
            name = container_name(world.store, job.id, job.attempt)
            attempt = Attempt(
                job.id, job.attempt, name, job.slices, job.image_id or "", self.now.wall
            )
            world.attempts[job.id] = world.changes.attempts[(job.id, job.attempt)] = attempt

    def _look_at_waiting(self, job: Job) -> None:
        world, started = self.world, self.started_attempts.get(job.id, 0)
        if started > job.attempt:
            text = f"attempt {started} may have started but has no record: it is not run again"
            finish(world, job, lifecycle.Settled, Outcome.LOST, self.now, message=text)
            self.restored.lost.append(job.id)
            return
        existing = world.jobs.keys() | world.arrays.keys()
        for dependency in tuple(job.waits_for):
            if dependency == ALONE or dependency.job in existing:
                other = world.jobs.get(dependency.job)
                ran = other is not None and other.state in (State.RUNNING, State.COMPLETING)
                if dependency.after is After.START and ran:
                    world.started.append(dependency.job)
                continue
            if any(number == dependency.job for number, _ in world.ended):
                continue
            other = self.ended(dependency.job)
            if other is not None and other.outcome is not None:
                world.ended.append((other.id, other.outcome))
                continue
            job.held = Reason.JOB_HELD_ADMIN
            job.message = f"it waits for job {dependency.name}, which is unknown"
            del job.waits_for[dependency]
            world.note(job, self.now.wall, "rebuilt", job.message)
            self.restored.doubts.append(f"job {job.ref} is held: {job.message}")

    def _distrust(self, containers: Iterable[FoundContainer]) -> None:
        """Trust no slice without proof if NVML does not show a container's slices (I10)."""
        unknown = sorted(
            (item.job, uuid)
            for item in containers
            for uuid in item.slices
            if item.running and uuid not in self.slices
        )
        if not unknown:
            return
        job, uuid = unknown[0]
        why = f"job {job} runs on {uuid}, which NVML does not show: it may be any slice"
        self.restored.doubts.append(why)
        for shown in self.slices.values():
            state = self.world.slices.setdefault(shown.uuid, SliceState(shown))
            if state.lease is None:
                self.world.quarantine(shown.uuid, Quarantine(why, since=self.now.wall))


def _last_first(containers: Iterable[FoundContainer]) -> Sequence[FoundContainer]:
    """Order containers: running, then ended, then never started; newest attempt first."""
    return sorted(containers, key=lambda f: (not f.running, not f.ended, -f.attempt, f.job))


def _is_ahead(job: Job, container: FoundContainer) -> bool:
    """Whether a record is newer than its container: that attempt has ended."""
    if container.running:
        return False
    if job.state is State.PENDING:
        return container.attempt <= job.attempt
    return container.attempt < job.attempt


def _ends_already(job: Job, container: FoundContainer) -> bool:
    """Whether the end of this attempt is recorded, and only its slices are not proven free."""
    same = job.state is State.COMPLETING and container.attempt == job.attempt
    return same and not container.running
