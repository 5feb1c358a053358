"""The invariants that can be seen in the world itself, as checks that run in every test step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from launcher.core.model.job import State
from launcher.core.scheduling.matching import fits
from launcher.core.world.world import World


def violations(world: World) -> list[str]:
    """Return a sentence for every broken invariant; empty when all hold."""
    return [*_leases(world), *_jobs(world), *_queue(world)]


def _leases(world: World) -> Iterator[str]:
    seen: set[str] = set()
    for job_id, leases in world.leases.items():
        job = world.jobs.get(job_id)
        for lease in leases:
            uuid = lease.slice.uuid
            if uuid in seen:
                yield f"I1: {uuid} has two live leases"
            seen.add(uuid)
            if world.slices[uuid].lease is not lease:
                yield f"I1: the lease of job {job_id} on {uuid} is not the slice's"
            starts = job is not None and job.state is State.STARTING
            if job is not None and starts and not fits(job.need, lease.slice):
                yield f"I15: {uuid} ({lease.slice.profile}) is not what job {job_id} asked for"
            if job is None or job.state in (State.PENDING, State.DONE):
                yield f"I2: {uuid} is leased by job {job_id}, which holds nothing"
            elif job.attempt != lease.attempt:
                yield f"I11: {uuid} is leased by attempt {lease.attempt} of job {job_id}"
    for uuid, state in world.slices.items():
        if state.lease is not None and uuid not in seen:
            yield f"I1: {uuid} says it is leased, no job has the lease"


def _jobs(world: World) -> Iterator[str]:
    if +world.live != Counter(job.owner.uid for job in world.jobs.values()):
        yield f"the jobs of users are not {dict(world.live)}"
    stored_bytes: Counter[int] = Counter()
    for job in world.jobs.values():
        stored_bytes[job.owner.uid] += job.kept_bytes
    if +world.stored_bytes != +stored_bytes:
        yield f"the stored bytes of users are not {dict(world.stored_bytes)}"
    aside = [i for i in world.aside if world.jobs[i].state is State.PENDING]
    outside = [
        (-job.priority, job.id)
        for job in world.jobs.values()
        if job.state is State.PENDING and job.element is None and job.id not in world.queue
    ]
    if aside != [job_id for _, job_id in sorted(outside)]:
        yield f"outside the queue wait {sorted(outside)}, and not {aside}"
    for job in world.jobs.values():
        if job.state is State.DONE:
            yield f"job {job.id} is DONE and still in memory"
        over = job.state is State.COMPLETING and job.again is None
        if (job.outcome is not None) != over:
            yield f"job {job.id} is {job.state.value} with outcome {job.outcome}"
        active = job.state in (State.STARTING, State.RUNNING)
        if active and job.need.kind != "none":
            leased = {lease.slice.uuid for lease in world.leases.get(job.id, ())}
            if leased != set(job.slices) or not leased:
                yield f"I9: job {job.id} runs on {job.slices} and leases {sorted(leased)}"


def _queue(world: World) -> Iterator[str]:
    for job_id in world.queue.ids():
        job = world.jobs.get(job_id)
        if job is None or job.state is not State.PENDING:
            yield f"job {job_id} is queued and not pending"
        elif job.image_id is None:
            yield f"job {job_id} is queued without a pinned image"
