"""After a restart: the actions that make records and running containers agree again.

The records contain each attempt's intended state. Every action is idempotent and inspects before it
acts, so it can simply be repeated. An attempt keeps its number.
"""

from __future__ import annotations

from dataclasses import replace

from launcher.core.jobs import admission, attempts, images
from launcher.core.messages.actions import Action, ProveIdle, RemoveContainer, StartAttempt
from launcher.core.messages.events import Now, SlicesIdle
from launcher.core.mig import layout_executor
from launcher.core.model.gpu import Slice
from launcher.core.model.job import Job, State
from launcher.core.scheduling.matching import fits
from launcher.core.world.clock_step import keep_pace
from launcher.core.world.transitions import follow, stop
from launcher.core.world.usage import record_reboot
from launcher.core.world.world import World


def resume(world: World, now: Now, *, rebooted: bool = False) -> list[Action]:
    """Return the actions that continue every live job of a world just read from the store.

    No process on a slice survives a reboot: slices of earlier attempts are free. ``rebooted``: the
    machine was rebooted since the last daemon.
    """
    actions = [*images.unsettled(world), *take_up(world, now)]
    layout_executor.taken_up(world, now)
    for job in list(world.jobs.values()):
        match job.state:
            case State.STARTING:
                actions.append(_start_again(world, job))
            case State.RUNNING:
                again = follow(world, job)
                actions.append(replace(again, before_boot=world.is_from_earlier_boot(job.id)))
            case State.COMPLETING if world.is_from_earlier_boot(job.id):
                actions += _let_go(world, job, now)
            case State.COMPLETING:
                actions += _prove_again(world, job)
    if rebooted:
        record_reboot(world)
        for uuid, slice_ in world.slices.items():
            if slice_.quarantine is not None and not slice_.lasting:
                world.clear_quarantine(uuid)
    return actions


def take_up(world: World, now: Now) -> list[Action]:
    """Restore what is not in the rows of a world just read: the queue, images, deadlines."""
    actions: list[Action] = []
    keep_pace(world, now)
    for job in world.jobs.values():
        if job.state is State.RUNNING and job.time_limit is not None and not job.stopping:
            left = (job.started_wall or now.wall) + job.time_limit - now.wall
            world.set_deadline(job, now.boot + left)
            if job.warn_at is not None and job.warn_at <= now.boot:
                job.warn_at = None  # it was warned earlier
        if job.state is State.RUNNING and job.stopping:
            actions += stop(world, job, now)
        if job.state is State.PENDING:
            actions += admission.admit(world, job, now)
    return actions


def _start_again(world: World, job: Job) -> StartAttempt:
    attempt = world.attempts[job.id]
    leased = {lease.slice.uuid: lease.slice for lease in world.leases.get(job.id, ())}
    slices = tuple(leased[uuid] for uuid in attempt.slices)  # as at the container's creation
    name = attempt.container_name
    return StartAttempt(
        job.id,
        job.attempt,
        name,
        slices,
        attempt.image_id,
        resumed=True,
        before_boot=world.is_from_earlier_boot(job.id),
        index=job.index,
        policy_version=job.policy_version,
        unfit=_unfit(job, slices),
    )


def _unfit(job: Job, slices: tuple[Slice, ...]) -> str | None:
    """Return why a lease of an older version may not be used: its memory is shared (I15)."""
    result = next((s for s in slices if s.memory_shared and not fits(job.need, s)), None)
    if result is None:
        return None
    return f"{result.uuid} ({result.profile}) shares its memory; {job.need} was requested"


def _let_go(world: World, job: Job, now: Now) -> list[Action]:
    name = world.attempts[job.id].container_name
    uuids = tuple(lease.slice.uuid for lease in world.leases.get(job.id, ()))
    remove = RemoveContainer(job.id, job.attempt, name)
    return [remove, *attempts.idle(world, SlicesIdle(job.id, job.attempt, uuids), now)]


def _prove_again(world: World, job: Job) -> list[Action]:
    attempt = world.attempts[job.id]
    uuids = tuple(lease.slice.uuid for lease in world.leases.get(job.id, ()))
    return [
        ProveIdle(
            job.id, job.attempt, attempt.container_name, attempt.container_id, uuids, job.ref
        ),
        RemoveContainer(job.id, job.attempt, attempt.container_name),
    ]
