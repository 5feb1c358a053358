"""Why a job waits and whether it ever could run, from the scheduler's own rules.

A pending job has at least one blocker if and only if ``schedule`` would not start it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from launcher.core.event import Now
from launcher.core.gpu import FULL, name_gb
from launcher.core.job import Job, Need, NeedKind, Reason, State
from launcher.core.scheduler import choose, fits, gate, holdback, slices_wanted, wanted
from launcher.core.world import Having, World
from launcher.errors import ImpossibleRequest


@dataclass(frozen=True, slots=True)
class Blocker:
    """One unmet need: which reason, what is needed, what there is."""

    reason: Reason
    need: str
    have: str


def blockers(world: World, job: Job, now: Now) -> list[Blocker]:
    """Return what keeps a pending job from starting; empty for a job that is not pending."""
    if job.state is not State.PENDING:
        return []
    found: list[Blocker] = []
    why = gate(world, job.need)
    if why is not None:
        reason = Reason.RECONCILING if world.reconciling else Reason.ENGINE_UNAVAILABLE
        if not world.reconciling and not world.engine_down and world.gpu_down:
            reason = Reason.NO_SUCH_PROFILE
        found.append(Blocker(reason, str(job.need), why))
    own = _own_blockers(world, job, now)
    found += own
    if not own and job.id not in world.queue:
        found.append(_image_blocker(world, job))
    if own:
        return found
    return found if why is not None else found + _slice_blockers(world, job)


def _own_blockers(world: World, job: Job, now: Now) -> list[Blocker]:
    """Return what of the job's own keeps it out of the queue."""
    found: list[Blocker] = []
    if job.held is Reason.NEVER_STARTED:
        tried = f"{job.never_started} starts failed before the container ran: {job.message}"
        found.append(Blocker(job.held, "a start that works, and a release", tried))
    elif job.held is not None:
        found.append(Blocker(job.held, "a release", job.message or "it is held"))
    if job.begin is not None and job.begin > now.wall:
        at = datetime.fromtimestamp(job.begin, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found.append(
            Blocker(Reason.BEGIN_TIME, f"the time {at}", f"{job.begin - now.wall:.0f} s left")
        )
    for dependency in job.waits_for:
        other = world.jobs.get(dependency.job)
        have = other.state.value if other else "over"
        found.append(
            Blocker(Reason.DEPENDENCY, f"{dependency.after.value} of job {dependency.job}", have)
        )
    return found


def _image_blocker(world: World, job: Job) -> Blocker:
    state = world.images.get(job.image)
    have = {
        None: "not looked for yet",
        Having.FINDING: "being looked for",
        Having.WANTED: "waits for other pulls",
        Having.PULLING: "being pulled",
    }[state.having if state else None]
    return Blocker(Reason.IMAGE_PULL, f"image {job.image.reference}", have)


def _slice_blockers(world: World, job: Job) -> list[Blocker]:
    held = _held_ahead_of(world, job)
    head = world.queue.head(job.need)
    first = head is None or head >= job.order
    if first and choose(world, job.need, held) is not None:
        return []
    if choose(world, job.need, set()) is not None or (not first and _some_fit(world, job.need)):
        return [Blocker(Reason.PRIORITY, str(job.need), "jobs in front of it go first")]
    return [_lacking(world, job.need)]


def _some_fit(world: World, need: Need) -> bool:
    return need.kind is NeedKind.NONE or bool(wanted(world, need))


def _held_ahead_of(world: World, job: Job) -> set[str]:
    held: set[str] = set()
    for order, need in world.queue.heads():
        if order < job.order and choose(world, need, held) is None:
            held.update(holdback(world, need, held))
    return held


def _lacking(world: World, need: Need) -> Blocker:
    if need.kind is NeedKind.NONE:
        used = f"{len(world.cpu_running)} of {world.cpu_slots} CPU slots are in use"
        return Blocker(Reason.RESOURCES, "a CPU slot", used)
    fit = wanted(world, need)
    if len(fit) < slices_wanted(world, need):
        return Blocker(Reason.NO_SUCH_PROFILE, str(need), f"{len(fit)} exist now")
    usable = [s for s in fit if s.usable]
    if len(usable) < slices_wanted(world, need):
        why = "; ".join(f"{s.slice.uuid} {s.unusable}" for s in fit if not s.usable)
        foreign = any(s.foreign for s in fit)
        return Blocker(
            Reason.FOREIGN_USE if foreign else Reason.SLICE_DRAINED,
            str(need),
            f"{len(usable)} of {len(fit)} usable: {why}",
        )
    busy = sum(s.lease is not None for s in fit)
    return Blocker(Reason.RESOURCES, str(need), f"{busy} of {len(fit)} in use")


def check_possible(world: World, need: Need) -> None:
    """Raise ``ImpossibleRequest`` where no GPU here could ever give what is asked.

    Profiles count, not today's slices: a layout can change. A MIG-capable GPU whose profiles could
    not be read refuses nothing, and neither does a machine whose GPUs are not known yet.
    """
    if need.kind is NeedKind.NONE or not world.gpus or world.gpu_down:
        return
    match need.kind:
        case NeedKind.UUID:
            missing = [u for u in need.uuids if u not in world.slices]
            if missing:
                raise ImpossibleRequest(
                    f"gpus: there is no slice {missing[0]}",
                    fix="`launch slices` lists the UUIDs of the slices that exist.",
                )
        case NeedKind.FULL | NeedKind.ALL:
            if need.count > len(world.gpus):
                raise ImpossibleRequest(
                    f"gpus: {need} asked, this machine has {len(world.gpus)} GPU(s)"
                )
        case _:
            _check_profiles(world, need)


def _check_profiles(world: World, need: Need) -> None:
    if any(g.mig_capable and not g.profiles_known for g in world.gpus.values()):
        return
    most = sum(fits(need, s.slice) for s in world.slices.values())
    could = 0
    for gpu in world.gpus.values():
        fitting = [
            p.max_instances
            for p in gpu.profiles
            if (need.kind is NeedKind.PROFILE and p.name == need.profile)
            or (need.memory_gb is not None and name_gb(p.name, p.memory_mib) >= need.memory_gb)
            or (need.memory_mib is not None and p.memory_mib >= need.memory_mib)
        ]
        could += max(fitting, default=0)
    if max(could, most) < need.count:
        offered = sorted(
            {p.name for g in world.gpus.values() for p in g.profiles}
            | {s.slice.profile for s in world.slices.values()}
        )
        have = ", ".join(offered) or FULL
        much = f"at most {max(could, most)} at once" if max(could, most) else "nothing like it"
        raise ImpossibleRequest(
            f"gpus: {need} asked, but the GPUs of this machine can give {much}",
            fix=f"What can be had here: {have}.",
        )
