"""Disk space of jobs and of users' caches: above a limit new starts wait, far above it a job ends.

The limit of a job is for its HOME, its /tmp and its container's writable layer together.
"""

from __future__ import annotations

from collections.abc import Mapping

from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.model.job import State
from launcher.core.world.transitions import move, stop
from launcher.core.world.world import World

FAR = 2
"""A job with this many times its limit ends."""
PART_OF_DISK = 4
"""By default a limit is the file system's size divided by this."""
LAUNCHER = 0
"""The uid that ends a job in the launcher's own name."""
GIB = 2**30


def judge(
    world: World, jobs: Mapping[int, int], caches: Mapping[int, int], size: int
) -> ev.DiskJudged:
    """Return who waits and which jobs end, by bytes of jobs (by id) and caches (by uid).

    ``size`` is that of the file system in bytes.
    """
    waits: dict[int, str] = {}
    ends: dict[int, str] = {}
    for uid, used in caches.items():
        most = cache_limit(world, world.user_name(uid), size)
        if used > most:
            waits[uid] = (
                f"~/.cache of the jobs has {_gib(used)}, the limit is {_gib(most)}: "
                "`launch clear-cache` empties it"
            )
    most = job_limit(world, size)
    for job_id, used in jobs.items():
        job = world.jobs.get(job_id)
        if job is None or used <= most:
            continue
        text = f"HOME, /tmp and the writable layer of job {job_id} have {_gib(used)}"
        waits[job.owner.uid] = f"{text}, the limit of a job is {_gib(most)}"
        if used > FAR * most:
            ends[job_id] = f"{text}, more than {FAR} times the limit of {_gib(most)}"
    return ev.DiskJudged(waits, ends)


def job_limit(world: World, size: int) -> int:
    """Return the limit of one job's disk space in bytes; ``size`` is the file system's."""
    return world.rules.policy.disk or size // PART_OF_DISK


def cache_limit(world: World, user: str, size: int) -> int:
    """Return the limit of a user's cache in bytes; ``size`` is the file system's."""
    most = world.rules.quota_of(user).cache_bytes
    return size // PART_OF_DISK if most is None else most


def judged(world: World, event: ev.DiskJudged, now: ev.Now) -> list[Action]:
    """Make users' new starts wait, and stop the jobs that are far above their limit."""
    world.disk_full_for = dict(event.waits)
    actions: list[Action] = []
    for job_id, why in event.ends.items():
        job = world.jobs.get(job_id)
        if job is not None and job.state is State.RUNNING and not job.stopping:
            move(world, job, ev.DiskJudged, State.RUNNING, now, why)
            job.cancelled_by, job.message, job.stop_asked = LAUNCHER, why, now.wall
            actions += stop(world, job, now)
    return actions


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size // 2**20} MiB"
