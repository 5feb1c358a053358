"""Jobs and slices as the API shows them. Fields that the caller may not see are None."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from launcher import wire
from launcher.core.messages.changes import AuditLine
from launcher.core.model.job import Element, Job, Reason, State
from launcher.core.model.lease import Attempt
from launcher.core.model.measurement import Measurement
from launcher.core.model.slice_state import SliceState
from launcher.core.scheduling.blockers import Blocker
from launcher.core.scheduling.explain import Explainer
from launcher.core.world.inventory import made_by_us
from launcher.core.world.world import World
from launcher.daemon.api.views import slice_hints
from launcher.daemon.loop import clock
from launcher.daemon.users.identity import Caller
from launcher.spec.gpus import GpuRequest

COMMAND_CHARACTERS = 4096
"""A longer command is cut in lists and events; `show` has all of it."""


def cut(command: Sequence[str] | None) -> list[str] | None:
    """Return a command as it is listed: its first words, and an ellipsis where there are more."""
    if command is None or sum(map(len, command)) + len(command) <= COMMAND_CHARACTERS:
        return None if command is None else list(command)
    result: list[str] = []
    left = COMMAND_CHARACTERS
    for word in command:
        if len(word) >= left:
            return [*result, f"{word[:left]}…"]
        result.append(word)
        left -= len(word) + 1
    return result


def job_view(
    explainer: Explainer, job: Job, caller: Caller, command: Sequence[str] | None
) -> wire.JobView:
    """Return a job as ``ps`` shows it; ``command`` is None if it is the image's own."""
    mine = caller.may_see(job.owner)
    world = explainer.world
    waits = job.reason or (explainer.reason(job) if job.id in world.jobs else None)
    reason = None if waits is None else waits.value
    return wire.JobView(
        id=job.id,
        name=job.name if mine else None,
        user=job.owner.name,
        state=job.state.value,
        outcome=job.outcome.value if job.outcome else None,
        reason=reason,
        profile=profile_of(world, job),
        count=count_of(job.need),
        slices=list(job.slices),
        image=job.image.reference if mine else None,
        command=cut(command) if mine else None,
        priority=job.priority,
        array=element_view(job.element, mine=mine),
        attempt=job.attempt,
        exit_code=job.exit_code,
        submitted_at=clock.rfc3339(job.submitted_at),
        started_at=job.started_at,
        ended_at=job.ended_at,
        container_id=job.container_id if mine and not job.on_host else None,
        message=job.message if mine else None,
        time_limit=job.time_limit,
        runtime="host" if job.on_host else "docker",
    )


def element_view(element: Element | None, *, mine: bool) -> dict[str, Any] | None:
    """Return a job's place in its array; its values only to who may see them."""
    if element is None:
        return None
    values = dict(element.values) if mine else None
    return {"id": element.array, "index": element.index, "matrix": values}


def profile_of(world: World, job: Job) -> str | None:
    """Return the profile that the job runs on, or the requested one while it waits.

    Slices of several profiles are named one by one: ``1g.6gb+me,1g.6gb``.
    """
    profiles = [world.slices[uuid].slice.profile for uuid in job.slices if uuid in world.slices]
    if profiles:
        return profiles[0] if len(set(profiles)) == 1 else ",".join(profiles)
    need = job.need
    match need.kind:
        case "profile":
            return need.profile
        case "memory":
            return f">={need.memory_gb}g" if need.memory_gb else f">={need.memory_mib}MiB"
        case "full" | "all":
            return need.kind
        case _:
            return None


def count_of(need: GpuRequest) -> int:
    """Return how many slices a need asks for."""
    if need.kind == "none":
        return 0
    return len(need.uuids) if need.kind == "uuid" else need.count


def blocker_view(blocker: Blocker, *, mine: bool) -> wire.BlockerView:
    """Return a blocker as the API shows it; image names and failures only to the owner."""
    hidden = not mine and blocker.reason in _PRIVATE
    return wire.BlockerView(
        kind=blocker.reason.value,
        need="(visible to its owner)" if hidden else blocker.need,
        have="(visible to its owner)" if hidden else blocker.have,
        jobs=list(blocker.jobs),
    )


_PRIVATE = frozenset(
    {
        Reason.IMAGE_PULL,
        Reason.IMAGE_PULL_FAILED,
        Reason.NEVER_STARTED,
        Reason.BEGIN_TIME,
        Reason.JOB_HELD_USER,
        Reason.JOB_HELD_ADMIN,
        Reason.DEPENDENCY_NEVER_SATISFIED,
    }
)
"""Reasons whose texts may contain an image, or a message about it."""


def attempt_view(
    attempt: Attempt, output_gaps: int | None, measured: Measurement, gpu_memory_mib: int | None
) -> wire.AttemptView:
    """Return an attempt as ``show`` lists it, with what it has used, and its slices' memory."""
    return wire.AttemptView(
        attempt=attempt.number,
        slices=list(attempt.slices),
        container_id=attempt.container_id,
        container_name=attempt.container_name,
        image_id=attempt.image_id,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        exit_code=attempt.exit_code,
        oom=attempt.oom,
        cause=attempt.cause,
        output_gaps=output_gaps,
        gpu_memory_mib=gpu_memory_mib,
        **dataclasses.asdict(measured),
    )


def slice_word(world: World, state: SliceState) -> str:
    """Return a slice's state as one word."""
    if state.lease is not None:
        job = world.jobs.get(state.lease.job)
        ending = job is not None and job.state is State.COMPLETING
        return "lost" if state.lost else "releasing" if ending else "leased"
    words = (
        ("quarantined", state.quarantine),
        ("silent", state.silent or world.gpu_down),
        ("lost", state.lost),
        ("foreign", state.foreign),
        ("drained", state.beside),
        ("drained", state.drained or state.changing is not None),
    )
    return next((word for word, holds in words if holds), "free")


def slice_views(world: World) -> list[wire.SliceView]:
    """Return every slice, GPU by GPU, in the order of their places."""
    states = sorted(
        world.slices.values(),
        key=lambda s: (
            s.slice.gpu_index,
            s.slice.placement.start if s.slice.placement else 0,
            s.slice.uuid,
        ),
    )
    wall = clock.now().wall
    reserved = {
        uuid: f"is reserved as {r.name} for {r.user or f'group {r.group}'}"
        for r in world.reservations.values()
        if r.start <= wall < r.end
        for uuid in r.slices
    }
    return [_slice_view(world, state, reserved.get(state.slice.uuid)) for state in states]


def _slice_view(world: World, state: SliceState, reserved: str | None) -> wire.SliceView:
    s, lease = state.slice, state.lease
    job = world.jobs.get(lease.job) if lease else None
    name = slice_word(world, state)
    proof = (
        "its job has ended: it is free once no process is on it" if name == "releasing" else None
    )
    return wire.SliceView(
        uuid=s.uuid,
        gpu=s.gpu_uuid,
        gpu_index=s.gpu_index,
        profile=s.profile,
        memory_mib=s.memory_mib,
        gi=s.gi,
        ci=s.ci,
        placement={"start": s.placement.start, "size": s.placement.size} if s.placement else None,
        state=name,
        job=lease.job if lease else None,
        attempt=lease.attempt if lease else None,
        user=job.owner.name if job else None,
        made_by="launcher" if made_by_us(world, s.gpu_uuid, s.gi) else "other",
        why=state.unusable or world.gpu_down or proof or reserved,
        since=slice_hints.since(world, state),
        fix=slice_hints.fix(world, state, reserved),
        memory_shared=s.memory_shared,
        array=element_view(job.element, mine=False) if job else None,
    )


def audit_view(line: AuditLine) -> wire.AuditView:
    """Return a line of the audit log."""
    return wire.AuditView(
        at=clock.rfc3339(line.at),
        until=clock.rfc3339(line.until),
        uid=line.uid,
        user=line.user,
        role=line.role,
        route=line.route,
        jobs=line.jobs,
        outcome=line.outcome,
        detail=line.detail,
        count=line.count,
        policy_version=line.policy_version,
    )
