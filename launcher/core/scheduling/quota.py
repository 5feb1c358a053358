"""Quotas of users and groups: running use makes a job wait, queued use refuses a submit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass

from launcher.core.model.gpu import Slice
from launcher.core.model.job import Job, Owner, State
from launcher.core.policy.settings import Quota
from launcher.core.scheduling.matching import slices_wanted, wanted
from launcher.core.world.pending_queue import Lane
from launcher.core.world.world import World
from launcher.errors import NotAllowed
from launcher.spec.gpus import GpuRequest

ORDINARY_QUEUED_JOBS = 10_000
"""Default limit of an ordinary user's queued jobs."""
ORDINARY_QUEUED_BYTES = 64 * 1024 * 1024
"""Default limit of their bytes in the database."""

ORDINARY_QUEUED_KINDS = 100
"""Default limit of an ordinary user's kinds of jobs. Jobs are of one kind if they request the same
GPUs and about the same time: every decision examines one job of each kind."""

ORDINARY_QUEUED_DEPENDENCIES = 20_000
"""Default limit of an ordinary user's dependencies: a job's remaining dependencies are rewritten
whenever one of them ends."""

ORDINARY_LOG_BYTES = 20 * 1024**3
"""Default limit of an ordinary user's log bytes."""


@dataclass(frozen=True, slots=True)
class LogRoom:
    """A quota of logs: its holder, the current bytes, and the maximum."""

    whose: str
    has: int
    most: int

    @property
    def left(self) -> int:
        """Number of bytes still allowed; negative above the quota."""
        return self.most - self.has


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A quota that a start would exceed: its holder, the use after the start, the limit."""

    whose: str
    need: str
    have: str


def exceeded(world: World, job: Job, slices: tuple[Slice, ...] | None) -> Exceeded | None:
    """Return the first quota that starting this job on these slices would exceed.

    Without ``slices`` the minimum for its need counts.
    """
    if (full := world.disk_full_for.get(job.owner.uid)) is not None and not job.on_host:
        return Exceeded(f"user {job.owner.name}", "less disk space in use", full)
    if job.need.kind == "none":
        return _exceeded_by_slots(world, job)
    for whose, members, quota in _quotas(world, job.owner, world.groups.get(job.owner.uid)):
        if quota.running_slices is None and quota.running_gib is None:
            continue
        more, gib = _requested(world, job.need, slices)
        has, has_gib = _running(world, members)
        if quota.running_slices is not None and has + more > quota.running_slices:
            return Exceeded(
                whose, f"{more} more running slice(s)", f"{has} of {quota.running_slices} in use"
            )
        if quota.running_gib is not None and has_gib + gib > quota.running_gib:
            have = f"{has_gib:g} of {quota.running_gib:g} GiB in use"
            return Exceeded(whose, f"{gib:g} GiB more of running slices", have)
    return None


def _exceeded_by_slots(world: World, job: Job) -> Exceeded | None:
    """Return the first quota of CPU slots that starting this job would exceed."""
    more = job.need.count
    for whose, members, quota in _quotas(world, job.owner, world.groups.get(job.owner.uid)):
        most = quota.running_cpu_slots
        if most is None:
            continue
        running = (world.jobs[job_id] for job_id in world.cpu_running)
        has = sum(other.need.count for other in running if other.owner.uid in members)
        if has + more > most:
            return Exceeded(whose, f"{more} more CPU slot(s)", f"{has} of {most} in use")
    return None


def _quotas(
    world: World, owner: Owner, groups: frozenset[str] | None
) -> Iterator[tuple[str, frozenset[int], Quota]]:
    """Yield (holder, uids that share it, quota) of every quota that applies to a user."""
    yield f"user {owner.name}", frozenset((owner.uid,)), world.rules.quota_of(owner.name)
    for group, quota in world.rules.group_quotas.items():
        if group in (groups or ()):
            members = {uid for uid, names in list(world.groups.items()) if group in names}
            yield f"group {group}", frozenset(members | {owner.uid}), quota


def _requested(
    world: World, need: GpuRequest, slices: tuple[Slice, ...] | None
) -> tuple[int, float]:
    if slices is None:
        count = slices_wanted(world, need)
        least = wanted(world, need)[:count]
        return count, round(sum(s.slice.share_mib for s in least) / 1024, 3)
    return len(slices), round(sum(s.share_mib for s in slices) / 1024, 3)


def _running(world: World, members: frozenset[int]) -> tuple[int, float]:
    held = [
        lease.slice.share_mib
        for job_id, leases in world.leases.items()
        if leases and world.jobs[job_id].owner.uid in members
        for lease in leases
    ]
    return len(held), round(sum(held) / 1024, 3)


def log_room(
    world: World, owner: Owner, held: Callable[[Set[int]], int], *, admin: bool
) -> LogRoom | None:
    """Return the quota of logs that leaves a user the least, None if none applies.

    ``held`` returns the total bytes of the logs of some users (by uid).
    """
    rooms = []
    for whose, members, quota in _quotas(world, owner, world.groups.get(owner.uid)):
        most = quota.log_bytes
        if most is None and not admin and whose == f"user {owner.name}":
            most = ORDINARY_LOG_BYTES
        if most is not None:
            rooms.append(LogRoom(whose, held(members), most))
    return min(rooms, key=lambda room: room.left, default=None)


@dataclass(frozen=True, slots=True)
class SubmitSize:
    """Jobs to be queued: their number and kinds.

    ``stored_bytes`` is their size in the database, ``waits`` the number of their dependencies.
    """

    jobs: int
    kinds: frozenset[Lane]
    stored_bytes: int
    waits: int


def check_submit(
    world: World, owner: Owner, groups: frozenset[str], more: SubmitSize, *, admin: bool
) -> None:
    """Raise ``NotAllowed`` if these exceed the queue's quotas, or one exceeds a running quota.

    Without rules an ordinary user may have ``ORDINARY_QUEUED_JOBS``, ``_BYTES``, ``_KINDS`` and
    ``_DEPENDENCIES``.
    """
    needs = {lane.need for lane in more.kinds}
    check_kinds(world, owner, groups, more.kinds, admin=admin)
    for whose, members, quota in _quotas(world, owner, groups):
        _check_running(world, whose, quota, needs)
        ordinary = not admin and whose == f"user {owner.name}"
        queued_jobs = quota.queued_jobs
        if queued_jobs is None and ordinary:
            queued_jobs = ORDINARY_QUEUED_JOBS
        if queued_jobs is not None:
            _check_queued(world, whose, members, queued_jobs, more.jobs)
        queued_bytes = quota.queued_bytes
        if queued_bytes is None and ordinary:
            queued_bytes = ORDINARY_QUEUED_BYTES
        if queued_bytes is not None:
            _check_bytes(world, whose, members, queued_bytes, more.stored_bytes)
        queued_dependencies = quota.queued_dependencies
        if queued_dependencies is None and ordinary:
            queued_dependencies = ORDINARY_QUEUED_DEPENDENCIES
        if queued_dependencies is not None and more.waits:
            _check_waits(world, whose, members, queued_dependencies, more.waits)


def _check_running(world: World, whose: str, quota: Quota, needs: Set[GpuRequest]) -> None:
    """Raise ``NotAllowed`` if one of these requests more than may run at once."""
    if quota.running_slices is not None:
        most = max((slices_wanted(world, n) for n in needs), default=0)
        if most > quota.running_slices:
            raise NotAllowed(
                f"gpus: {most} slices at once exceed the limit of {quota.running_slices} "
                f"of {whose}",
                fix="Request fewer, or have an admin raise the quota in launcher.toml.",
            )
    slots = max((n.count for n in needs if n.kind == "none"), default=0)
    if quota.running_cpu_slots is not None and slots > quota.running_cpu_slots:
        raise NotAllowed(
            f"cpus: {slots} CPU slots at once exceed the limit of {quota.running_cpu_slots} "
            f"of {whose}",
            fix="Request fewer cores, or have an admin raise the quota in launcher.toml.",
        )


def check_kinds(
    world: World,
    owner: Owner,
    groups: frozenset[str],
    kinds: Set[Lane],
    *,
    admin: bool,
    instead_of: Lane | None = None,
) -> None:
    """Raise ``NotAllowed`` if these would exceed the kinds of jobs that a user may have.

    ``instead_of`` is the kind of a job before its change.
    """
    for whose, members, quota in _quotas(world, owner, groups):
        most = quota.queued_kinds
        if most is None and whose == f"user {owner.name}":
            most = None if admin else ORDINARY_QUEUED_KINDS
        if most is None:
            continue
        has = {lane for uid in members for lane in world.kinds.get(uid, ())}
        if instead_of is not None and world.kinds[owner.uid][instead_of] == 1:
            has.discard(instead_of)
        more = len(kinds - has)
        if more and len(has) + more > most:
            raise NotAllowed(
                f"{whose} has jobs of {len(has)} kinds, {more} more would be above the quota "
                f"queued_kinds of {most}",
                fix="Give similar jobs the same GPUs and time limit, or wait until others have "
                "ended. An admin can raise queued_kinds in the [quota] of launcher.toml.",
            )


def _check_waits(world: World, whose: str, members: frozenset[int], most: int, more: int) -> None:
    has = sum(world.waits[uid] for uid in members)
    if has + more > most:
        raise NotAllowed(
            f"{whose} has jobs that wait for {has} others, {more} more would be above the quota "
            f"queued_dependencies of {most}",
            fix="Make them wait for one array, or for one job that waits for the others. An admin "
            "can raise queued_dependencies in the [quota] of launcher.toml.",
        )


def _check_bytes(world: World, whose: str, members: frozenset[int], most: int, more: int) -> None:
    has = sum(world.stored_bytes[uid] for uid in members)
    if has + more > most:
        raise NotAllowed(
            f"{whose} has jobs of {has} bytes, {more} more would be above the quota "
            f"queued_bytes of {most}",
            fix="Submit fewer, or wait until some have ended. A matrix stores its command once "
            "and only the values for each job; put long texts into files or the image. An admin "
            "can raise queued_bytes in the [quota] of launcher.toml.",
        )


def _check_queued(world: World, whose: str, members: frozenset[int], most: int, more: int) -> None:
    if sum(world.live[uid] for uid in members) + more <= most:
        return  # states are not read: a submit must not scan a long queue
    queued = sum(
        job.state is State.PENDING and job.owner.uid in members for job in world.jobs.values()
    )
    if queued + more > most:
        raise NotAllowed(
            f"{whose} has {queued} jobs queued, {more} more would be above the quota of {most}",
            fix="Submit fewer, or again when some have ended.",
        )
