"""Advice on ended jobs that request more than they use, as the API shows it."""

from __future__ import annotations

from launcher import wire
from launcher.core.model.job import Job
from launcher.core.model.measurement import PastRun
from launcher.core.scheduling.right_sizing import Advice, advise, sizes_of
from launcher.core.world.world import World
from launcher.daemon.loop import clock
from launcher.daemon.loop.committer import Committer
from launcher.daemon.users.fair_pool import FairPool
from launcher.store import Reader

LOOKED_BACK_SECONDS = 30 * 86_400.0
MOST_RUNS, MOST_OF_NAME = 10_000, 100
"""The most ended jobs that are examined for all advice, and for that on one job."""


class Adviser:
    """Reads ended jobs, and gives advice on them in a thread: there may be thousands."""

    def __init__(self, committer: Committer, users: FairPool, world: World) -> None:
        self._committer, self._users, self._world = committer, users, world

    async def on_users(
        self, caller_uid: int, *, uid: int | None, user: str | None
    ) -> list[wire.AdviceView]:
        """Return the advice on the last jobs of one user, by uid or name, or of all users."""
        runs = await self._committer.read_slowly(
            Reader.past_runs, _earliest(), MOST_RUNS, uid=uid, user=user
        )
        return await self._views(caller_uid, runs)

    async def on_job(self, job: Job) -> list[wire.AdviceView]:
        """Return the advice on an ended job, by the last jobs of the same user and name."""
        if job.outcome is None:
            return []
        owner = job.owner.uid
        runs = await self._committer.read(
            Reader.past_runs_of_name, owner, job.name, _earliest(), MOST_OF_NAME
        )
        return await self._views(owner, runs)

    async def _views(self, uid: int, runs: list[PastRun]) -> list[wire.AdviceView]:
        sizes = sizes_of(self._world.gpus.values())
        return [_view(each) for each in await self._users.run(uid, advise, runs, sizes)]


def _earliest() -> str:
    return clock.rfc3339(clock.now().wall - LOOKED_BACK_SECONDS)


def _view(advice: Advice) -> wire.AdviceView:
    return wire.AdviceView(
        user=advice.user,
        name=advice.name,
        kind=advice.kind.value,
        jobs=advice.runs,
        profile=advice.profile,
        gpu_memory_mib=advice.memory_mib,
        gpu_memory_peak_mib=advice.peak_mib,
        gpu_activity_percent=advice.percent,
        longest_seconds=advice.longest,
        time_limit=advice.limit,
        suggested_profile=advice.smaller,
        suggested_time_limit=advice.shorter,
    )
