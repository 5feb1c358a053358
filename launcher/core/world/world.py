"""The world in memory: live jobs, slices and images with their indexes, and pending changes.

Everything here can be rebuilt from the store; a failed commit discards it. Only the core's
handlers change it, and every change is recorded in ``changes`` for the next transaction.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field

from launcher.core.messages.changes import Changes, Drain, HistoryLine, Quarantine
from launcher.core.model.arrays import Array
from launcher.core.model.gpu import Gpu, Instance
from launcher.core.model.job import After, ImageKey, Job, Outcome, State, wall_of
from launcher.core.model.layout_change import LayoutOp
from launcher.core.model.lease import Attempt, Lease
from launcher.core.model.own_image import OwnImage, PulledImage
from launcher.core.model.packing import Place
from launcher.core.model.reservation import Reservation
from launcher.core.model.slice_state import ImageState, SliceState
from launcher.core.model.use import RecordedCapacity, Use, charged, weight
from launcher.core.policy.settings import Settings
from launcher.core.world.namesakes import Namesakes
from launcher.core.world.pending_queue import Aside, Lane, PendingQueue, lane_of
from launcher.core.world.recent import RecentEnds
from launcher.core.world.shared_gpus import mark_beside
from launcher.core.world.usage import rate_of
from launcher.spec.gpus import GpuRequest

FIRST_WAIT_SECONDS = 10.0  # before Docker's GPU support is tried again; doubled each time


@dataclass(slots=True, eq=False)
class World:
    """Live jobs, slices, leases, images, and the gates that block new starts."""

    store: str
    next_id: int = 1
    cpu_slots: int = 1
    rules: Settings = field(default_factory=Settings)
    jobs: dict[int, Job] = field(default_factory=dict)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    leases: dict[int, list[Lease]] = field(default_factory=dict)
    queue: PendingQueue = field(default_factory=PendingQueue)
    aside: Aside = field(default_factory=Aside)
    """The pending jobs outside the queue that are not elements of arrays."""
    gpus: dict[str, Gpu] = field(default_factory=dict)
    not_ours: dict[str, str] = field(default_factory=dict)
    """GPU UUID -> the claiming daemon, for GPUs of other daemons."""
    slices: dict[str, SliceState] = field(default_factory=dict)
    capacity: RecordedCapacity = field(default_factory=RecordedCapacity)
    instances: dict[tuple[str, int], Instance] = field(default_factory=dict)
    cuts: dict[tuple[str, int], tuple[int, ...]] = field(default_factory=dict)
    """The compute slices of the compute instances, by GPU and GI id: largest first, () for one."""
    hidden: frozenset[str] = frozenset()
    """The GPUs whose GPU instances NVML does not report."""
    silent: dict[str, str] = field(default_factory=dict)
    """GPU UUID -> why it does not answer; an empty UUID is a GPU that was never read."""
    gpus_lost: int = 0
    """Number of GPUs that fell off the bus: their profiles are unknown."""
    disk_full_for: dict[int, str] = field(default_factory=dict)
    drains: dict[str, Drain] = field(default_factory=dict)
    made: dict[tuple[str, int], Place] = field(default_factory=dict)
    """The GPU instances that the launcher created, by GPU and GI id."""
    layouts: dict[int, LayoutOp] = field(default_factory=dict)
    """The open changes by id: at most one for each GPU."""
    next_layout: int = 1
    images: dict[ImageKey, ImageState] = field(default_factory=dict)
    pulling: set[ImageKey] = field(default_factory=set)
    wanted: dict[int, list[tuple[tuple[int, int], ImageKey]]] = field(default_factory=dict)
    """The images to pull for each user, by uid: heaps; an entry may be out of date."""
    pulls_started: int = 0
    pulled: dict[int, int] = field(default_factory=dict)
    """The number of the last pull started for each waiting user, by uid."""
    private_images: dict[str, frozenset[int]] = field(default_factory=dict)
    """The uids for whose credentials a registry provided an image, by its id."""
    public_images: set[str] = field(default_factory=set)
    """The ids of images that a registry provided without credentials, or an admin published."""
    own_images: dict[tuple[int, str], OwnImage] = field(default_factory=dict)
    pulled_images: dict[str, PulledImage] = field(default_factory=dict)
    """The images that the launcher pulled, by id; those in ``removing`` are being removed."""
    removing: set[str] = field(default_factory=set)
    pulls: set[tuple[str, int]] = field(default_factory=set)
    """(reference, uid) of pulls with credentials that were started and have no recorded end."""
    cpu_running: set[int] = field(default_factory=set)
    alarms: list[tuple[float, int]] = field(default_factory=list)
    begins: list[tuple[float, int]] = field(default_factory=list)
    dependents: dict[int, set[int]] = field(default_factory=dict)
    """Job id -> the pending jobs that wait for its end."""
    ended: list[tuple[int, Outcome]] = field(default_factory=list)
    """Ends that have not been passed to the dependents yet."""
    started: list[int] = field(default_factory=list)
    """The jobs whose starts have not been passed to the dependents yet."""
    namesakes: Namesakes = field(default_factory=Namesakes)
    live: Counter[int] = field(default_factory=Counter)
    """Number of each user's live jobs, by uid."""
    stored_bytes: Counter[int] = field(default_factory=Counter)
    """Bytes of these jobs in the database, by uid."""
    waits: Counter[int] = field(default_factory=Counter)
    """Number of dependencies of these jobs, including fulfilled ones, by uid."""
    named: Counter[int] = field(default_factory=Counter)
    """Number of these jobs that depend on each job and array, by its id."""
    kinds: dict[int, Counter[Lane]] = field(default_factory=dict)
    """Number of each user's jobs in each lane, by uid: each lane costs time in every decision."""
    _names: dict[int, str] = field(default_factory=dict)
    uses: dict[int, Use] = field(default_factory=dict)
    """Each user's past use, by uid."""
    weights: dict[int, float] = field(default_factory=dict)
    """The same in a form that does not change with time: ``fairshare.weight``."""
    groups: dict[int, frozenset[str]] = field(default_factory=dict)
    """The groups of the users who have jobs, by uid."""
    reservations: dict[str, Reservation] = field(default_factory=dict)
    arrays: dict[int, Array] = field(default_factory=dict)
    room: set[int] = field(default_factory=set)
    """The arrays in which a waiting element may be next."""
    preemptible: set[int] = field(default_factory=set)
    """The preemptible jobs that hold slices."""
    recent: RecentEnds = field(default_factory=RecentEnds)
    keeping: dict[int, float] = field(default_factory=dict)
    """Since when (CLOCK_BOOTTIME seconds) a waiting gang withholds free slices."""
    fitting: dict[GpuRequest, list[SliceState]] = field(default_factory=dict)
    """The slices that a need could use: a cache of ``matching.wanted``."""
    stories: dict[int, list[str]] = field(default_factory=dict)
    boot: str | None = None
    """The machine's current boot, by the kernel's id."""
    changes: Changes = field(default_factory=Changes)
    late_events: int = 0
    clock: float | None = None
    """The wall clock minus CLOCK_BOOTTIME when the records were made, in seconds."""
    # The gates: None if open, otherwise a sentence with the reason why new starts wait.
    reconciling: str | None = "the daemon compares its records with Docker and NVML"
    draining: str | None = None
    engine_down: str | None = None
    gpu_down: str | None = None
    gpu_support: str | None = None
    gpu_support_again: float = 0.0
    """The next try in CLOCK_BOOTTIME seconds, and the delay after it."""
    gpu_support_wait: float = FIRST_WAIT_SECONDS

    @property
    def cpu_used(self) -> int:
        """Number of CPU slots in use."""
        return sum(self.jobs[job_id].need.count for job_id in self.cpu_running)

    def ref(self, job_id: int) -> str:
        """Return the name by which people know a job: ``42[0]`` for an element that is live."""
        job = self.jobs.get(job_id)
        return str(job_id) if job is None else job.ref

    def layout_of(self, gpu_uuid: str) -> LayoutOp | None:
        """Return the open layout change of a GPU."""
        return next((op for op in self.layouts.values() if gpu_uuid in op.gpus), None)

    @property
    def active_layout(self) -> LayoutOp | None:
        """The layout change that is being carried out."""
        return next((op for op in self.layouts.values() if op.is_active), None)

    def is_from_earlier_boot(self, job_id: int) -> bool:
        """Whether the machine was booted since a job's live attempt was last observed."""
        boot = self.attempts[job_id].boot
        return None not in (boot, self.boot) and boot != self.boot

    def take_changes(self) -> Changes:
        """Return the changes since the last call, and reset them."""
        self.changes, taken = Changes(), self.changes
        return taken

    def note(self, job: Job, at: float, event: str, detail: str = "") -> None:
        """Mark a job as changed and add a line to its history."""
        self.changes.jobs[job.id] = job
        self.changes.history.append(HistoryLine(job.id, at, event, detail))

    def add(self, job: Job) -> None:
        """Add a job to the indexes: at submit, or when the store is read."""
        if job.id not in self.jobs:
            self.live[job.owner.uid] += 1
            self.stored_bytes[job.owner.uid] += job.kept_bytes
            self.waits[job.owner.uid] += len(job.depends_on)
            self.named.update(dependency.job for dependency in job.depends_on)
            self.count_kind(job, 1)
        self.jobs[job.id] = job
        self.namesakes.add(job)
        self._names[job.owner.uid] = job.owner.name
        if job.element is not None:
            self.arrays[job.element.array].add(job.id)
        self.depend(job)
        if job.state not in (State.PENDING, State.DONE):
            self.activate(job)
        else:
            self.set_aside(job)

    def set_aside(self, job: Job) -> None:
        """Record that a job waits outside the queue, or that its place there changed."""
        if job.element is None and job.id in self.jobs and job.id not in self.queue:
            self.aside.put(job)

    def enqueue(self, job: Job) -> None:
        """Put a job into the queue."""
        self.queue.push(job)
        self.aside.discard(job.id)

    def count_kind(self, job: Job, more: int) -> None:
        """Count a job in its lane, or uncount it: before and after changes of its lane."""
        kinds, lane = self.kinds.setdefault(job.owner.uid, Counter()), lane_of(job)
        kinds[lane] += more
        if not kinds[lane]:
            del kinds[lane]

    def depend(self, job: Job) -> None:
        """Index the jobs whose ends or starts a job waits for."""
        for dependency in job.waits_for:
            if dependency.after is After.SINGLETON:
                heapq.heappush(self.begins, (0.0, job.id))  # once all jobs are here
            else:
                self.dependents.setdefault(dependency.job, set()).add(job.id)

    def activate(self, job: Job) -> None:
        """Record that a job holds slices, or a CPU slot."""
        if job.need.kind == "none" and job.state is not State.COMPLETING:
            self.cpu_running.add(job.id)
        if job.preemptible:
            self.preemptible.add(job.id)
        if job.element is not None:
            self.arrays[job.element.array].active.add(job.id)
            self.arrays[job.element.array].taken.add(job.id)

    def deactivate(self, job: Job) -> None:
        """Record that a job has released everything and is pending again, or out of the queue."""
        self.preemptible.discard(job.id)
        self.set_aside(job)
        if job.element is not None:
            array = self.arrays[job.element.array]
            array.rest(job.id)
            self.room.add(array.id)

    def forget(self, job: Job) -> None:
        """Drop a DONE job: it stays in the store, and decisions do not need it."""
        if job.attempt > 1:
            self.recent.ended(job.id, job.attempt)
        self.queue.discard(job.id)
        self.aside.discard(job.id)
        if self.jobs.pop(job.id, None) is not None:
            self._count_no_more(job)
        if job.element is None:
            self.namesakes.discard(job)
        self._forget_attempt(job)
        self.leases.pop(job.id, None)
        self.stories.pop(job.id, None)
        self.keeping.pop(job.id, None)
        self.cpu_running.discard(job.id)
        self.deactivate(job)
        if job.element is not None and job.outcome is not None:
            array = self.arrays[job.element.array]
            array.end(job.id, job.outcome)
            if array.outcome is not None:
                self.ended.append((array.id, array.outcome))
                self.changes.closed[array.id] = self.arrays.pop(array.id)
                self.namesakes.discard(job)

    def _forget_attempt(self, job: Job) -> None:
        """Drop a job's live attempt, with the boot in which it ran."""
        attempt = self.attempts.pop(job.id, None)
        if attempt is not None and attempt.boot is not None:
            attempt.boot = None
            self.changes.attempts[job.id, attempt.number] = attempt

    def _count_no_more(self, job: Job) -> None:
        uid = job.owner.uid
        self.live[uid] -= 1
        self.stored_bytes[uid] -= job.kept_bytes
        self.waits[uid] -= len(job.depends_on)
        self.count_kind(job, -1)
        if not self.live[uid]:
            for counts in (self.live, self.stored_bytes, self.waits, self.kinds):
                counts.pop(uid, None)
        for dependency in job.depends_on:
            self.named[dependency.job] -= 1
            if not self.named[dependency.job]:
                del self.named[dependency.job]

    def user_name(self, uid: int) -> str:
        """Return the name of a user with recorded use, or the uid as text."""
        use = self.uses.get(uid)
        return use.user if use else self._names.get(uid, str(uid))

    def grant(self, lease: Lease) -> None:
        """Record a live lease; the database refuses a second one on the same slice (I1)."""
        if lease.slice.uuid not in self.slices:
            self.slices[lease.slice.uuid] = SliceState(lease.slice, lost=True)
            self.fitting.clear()
        state = self.slices[lease.slice.uuid]
        if state.lease is not None:
            raise AssertionError(f"{lease.slice.uuid} is leased twice")
        state.lease = lease
        self.leases.setdefault(lease.job, []).append(lease)
        self.changes.leases[(lease.job, lease.attempt, lease.slice.uuid)] = lease

    def release(
        self, lease: Lease, at: float, quarantine: str | None = None, *, lasting: bool = False
    ) -> None:
        """End a lease; with ``quarantine`` the slice stays out of use until proven clean."""
        lease.released_at, lease.quarantine = at, quarantine
        job = self.jobs[lease.job]
        used_until = min(at, wall_of(job.ended_at) or at)  # the time after its end is not charged
        rate = rate_of((lease,), self.rules.fair_share)
        self._charge(job, rate, lease.granted_at, used_until)
        state = self.slices[lease.slice.uuid]
        state.lease = None
        if state.lost:
            mark_beside(self.slices.values(), self.ref)
        self.leases[lease.job].remove(lease)
        self.changes.leases[(lease.job, lease.attempt, lease.slice.uuid)] = lease
        if quarantine is not None:
            self.quarantine(lease.slice.uuid, Quarantine(quarantine, lasting, at))

    def release_cpu(self, job: Job, at: float) -> None:
        """Release the CPU slots of a job that has some."""
        if job.id in self.cpu_running:
            self.cpu_running.discard(job.id)
            used_until = min(at, wall_of(job.ended_at) or at)
            rate = rate_of((), self.rules.fair_share, job.need.count)
            self._charge(job, rate, self.attempts[job.id].granted_at, used_until)

    def _charge(self, job: Job, rate: float, since: float, until: float) -> None:
        """Bill a job's owner for ``rate`` GiB from ``since`` to ``until`` (seconds since 1970)."""
        uid, half_life = job.owner.uid, self.rules.fair_share.half_life
        use = charged(self.uses.get(uid), job.owner.name, rate, since, until, half_life)
        self.uses[uid] = self.changes.uses[uid] = use
        self.weights[uid] = weight(use, half_life)

    def quarantine(self, uuid: str, quarantine: Quarantine) -> None:
        """Take a slice out of use; a lasting quarantine stays as it is until it is cleared."""
        state = self.slices[uuid]
        if state.quarantine is not None and state.lasting:
            return
        state.quarantine, state.lasting = quarantine.why, quarantine.lasting
        state.quarantined_at = quarantine.since
        self.changes.quarantines[uuid] = quarantine

    def clear_quarantine(self, uuid: str) -> None:
        """Put a slice back into use, and clear its quarantine."""
        state = self.slices[uuid]
        state.quarantine, state.lasting, state.quarantined_at = None, False, None
        state.failed_starts = 0
        self.changes.quarantines[uuid] = None

    def set_made(self, gpu_uuid: str, gi: int, place: Place | None) -> None:
        """Record that the launcher created a GPU instance, or with None that it was destroyed."""
        if place is None:
            self.made.pop((gpu_uuid, gi), None)
        else:
            self.made[gpu_uuid, gi] = place
        self.changes.made[gpu_uuid, gi] = place

    def set_drain(self, uuid: str, drain: Drain | None) -> None:
        """Drain a slice or GPU; None ends the drain."""
        if drain is None:
            self.drains.pop(uuid, None)
        else:
            self.drains[uuid] = drain
        self.changes.drains[uuid] = drain
        self.mark_drained()

    def mark_drained(self) -> None:
        """Set each slice's drain from the drains of its UUID and its GPU's."""
        for state in self.slices.values():
            names = (state.slice.uuid, state.slice.gpu_uuid)
            result = next((self.drains[uuid] for uuid in names if uuid in self.drains), None)
            state.drained = None if result is None else f"is drained: {result.reason}"

    def set_deadline(self, job: Job, at_boot: float) -> None:
        """Record when a running job's time ends, in CLOCK_BOOTTIME seconds, and its warning."""
        job.deadline, job.warn_at = at_boot, None
        heapq.heappush(self.alarms, (at_boot, job.id))
        if job.warn is not None:
            job.warn_at = at_boot - job.warn.before
            heapq.heappush(self.alarms, (job.warn_at, job.id))

    def set_kill(self, job: Job, at_boot: float) -> None:
        """Record when the grace period of a job that is being stopped ends (CLOCK_BOOTTIME)."""
        job.kill_at = at_boot
        heapq.heappush(self.alarms, (at_boot, job.id))

    def why_silent(self, gpu_uuid: str) -> str | None:
        """Return why a GPU does not answer, None if it does.

        A missing GPU may be one whose UUID could not be read.
        """
        unread = None if gpu_uuid in self.gpus else self.silent.get("")
        return self.silent.get(gpu_uuid) or unread
