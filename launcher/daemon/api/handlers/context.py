"""The dependencies of every request handler, and the resolution of references to jobs."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher import wire
from launcher.config.settings import Config
from launcher.core.model.job import Job
from launcher.core.world.world import World
from launcher.daemon.api.http.connections import ConnectionManager
from launcher.daemon.api.http.replies import Replies
from launcher.daemon.api.views.job_counts import Counts
from launcher.daemon.attempts.foreground_turns import ForegroundTurns
from launcher.daemon.attempts.host_jobs import HostMachine
from launcher.daemon.loop import clock
from launcher.daemon.loop.audit_log import Audit
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.health import Health
from launcher.daemon.loop.subscriptions import Subscriptions
from launcher.daemon.machine.devices import Devices
from launcher.daemon.machine.idle_check import IdleCheck
from launcher.daemon.mounts.home_keeper import HomeKeeper
from launcher.daemon.mounts.secret_mounts import SecretMounts
from launcher.daemon.mounts.secret_store import SecretStore
from launcher.daemon.output.log_usage import LogUsage
from launcher.daemon.output.retention import Retention
from launcher.daemon.requests.array_elements import made_again
from launcher.daemon.users.accounts import Accounts
from launcher.daemon.users.credentials import Credentials
from launcher.daemon.users.fair_pool import FairPool
from launcher.daemon.users.identity import Caller
from launcher.daemon.users.rate_limits import Limiter
from launcher.engine.images import Images
from launcher.errors import NoSuchJob, NotAllowed, UserError
from launcher.gpu import GpuReader
from launcher.mount_helper import Pins
from launcher.spec.job_spec import JobSpec
from launcher.store import Reader

_RANGE = re.compile(r"(\d+)-(\d+)")
_ELEMENTS = re.compile(r"(\d+)\[(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)\]")
MAX_ID = 2**53
MOST_MEANT = 10_000
"""The maximum number of jobs that a range, or all references of a request, may mean."""
FIRST_LOOK_SECONDS = 3.0


@dataclass(slots=True, kw_only=True)
class Context:
    """The parts of a running daemon that requests need."""

    config: Config
    event_loop: EventLoop
    committer: Committer
    subscriptions: Subscriptions
    turns: ForegroundTurns
    host: HostMachine | None
    """The means to run host jobs, None if they cannot run."""
    health: Health
    credentials: Credentials
    images: Images
    pins: Pins
    secrets: SecretStore
    places: SecretMounts
    gpu: GpuReader
    devices: Devices
    container: str | None
    """The id of the container that the daemon runs in."""
    idle_check: IdleCheck
    remember: Callable[[Iterable[tuple[int, JobSpec]]], None]
    log_directory: Path
    accounts: Accounts
    started_at: str
    stop: asyncio.Event
    reconciled: asyncio.Event
    connections: ConnectionManager
    audit: Audit
    replies: Replies
    counts: Counts
    log_use: LogUsage
    retention: Retention
    home_keeper: HomeKeeper
    users: FairPool
    """Threads for blocking calls of requests."""

    @property
    def limiter(self) -> Limiter:
        """Counts the requests of each user."""
        return self.connections.limiter

    async def first_look(self) -> None:
        """Wait briefly until Docker and NVML have been read since the start.

        Otherwise a request right after a start would show a machine without GPUs. If Docker or
        NVML does not answer, the request is served nevertheless.
        """
        if not self.reconciled.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_LOOK_SECONDS):
                    await self.reconciled.wait()

    @property
    def world(self) -> World:
        """The current world; a failed commit replaces it."""
        return self.event_loop.world

    async def find(self, job_id: int) -> Job | None:
        """Return a job, live or ended."""
        return self._recent(job_id) or await self.committer.read(Reader.job, job_id)

    def _recent(self, job_id: int) -> Job | None:
        """Return a job that is live, or has ended recently."""
        live = self.world.jobs.get(job_id)
        return live or self.event_loop.changed(job_id) or self.subscriptions.ended(job_id)

    async def now(self, jobs: Sequence[Job]) -> list[Job]:
        """Return these jobs as they are now."""
        recent = {j.id: self._recent(j.id) for j in jobs}
        ended = [job_id for job_id, job in recent.items() if job is None]
        stored = await self.committer.read(Reader.jobs_of, ended) if ended else []
        result = recent | {job.id: job for job in stored}
        return [result[job.id] or job for job in jobs]

    async def resolve(self, ref: str, caller: Caller) -> list[Job]:
        """Return the jobs that ``12``, ``12[3]``, ``10-20``, ``last`` or a name means for a caller.

        The id of an array means all of its elements. Raises ``NoSuchJob`` if there is no such job,
        ``UserError`` if the reference is malformed.
        """
        jobs: list[Job]
        if ref == "last":
            last = await self.committer.read(Reader.last_of, caller.uid)
            jobs = [last] if last else []
            if last and last.element:  # the last submit was an array
                jobs = await self.committer.read(Reader.elements, last.element.array)
        elif ref.isascii() and ref.isdecimal():
            job = await self.find(_number(ref))
            jobs = [job] if job else await self.committer.read(Reader.elements, _number(ref))
        elif match := _ELEMENTS.fullmatch(ref):
            jobs = await self._elements(_number(match[1]), match[2])
        elif "[" in ref:
            raise UserError(
                f"{ref} names no elements of an array", fix="Write 12[3], 12[0-9] or 12[0,3,7-9]."
            )
        elif match := _RANGE.fullmatch(ref):
            first, last_id = _number(match[1]), _number(match[2])
            jobs = await self._between(first, last_id, None, caller)
        else:
            owner = None if caller.admin else caller.uid
            jobs = await self.committer.read(Reader.jobs_named, ref, owner, MOST_MEANT)
        if not jobs:
            raise await self._missing(ref)
        return self.latest(jobs)

    def latest(self, jobs: Sequence[Job]) -> list[Job]:
        """Return jobs read from the store as they are now: some may have changed since the read."""
        return [self._recent(job.id) or job for job in jobs]

    async def _missing(self, ref: str) -> NoSuchJob:
        """Return the error for a reference without a job; for a deleted job it says since when."""
        if ref.isascii() and ref.isdecimal():
            at = await self.committer.read(Reader.pruned_at, _number(ref))
            if at is not None:
                day = clock.rfc3339(at)[:10]
                return NoSuchJob(
                    f"job {ref} was pruned on {day}: its records are deleted",
                    fix="[history] of launcher.toml sets how long jobs are kept.",
                )
        return NoSuchJob(
            f"there is no job {ref}", fix="`launch ps -a` lists your jobs, including ended ones."
        )

    async def resolve_all(
        self, refs: Iterable[str], caller: Caller, *, own: bool = False
    ) -> list[Job]:
        """Return the jobs that several references mean, each once, by id.

        Ranges that overlap are read once. With ``own``, ranges mean only jobs that the caller may
        change. Raises as ``resolve`` does; a range without a job means none.
        """
        jobs: dict[int, Job] = {}
        spans: list[tuple[int, int]] = []
        for ref in dict.fromkeys(refs):
            if span := _RANGE.fullmatch(ref):
                spans.append((_number(span[1]), _number(span[2])))
            else:
                jobs |= {job.id: job for job in await self.resolve(ref, caller)}
                must_be_few(len(jobs), caller)
        owner = caller.uid if own and not caller.admin else None
        for first, last in merged(spans):
            some = await self._between(first, last, owner, caller)
            jobs |= {job.id: job for job in self.latest(some)}
            must_be_few(len(jobs), caller)
        if not jobs:
            raise NoSuchJob("none of these jobs exists", fix="`launch ps -a` lists your jobs.")
        return [jobs[job_id] for job_id in sorted(jobs)]

    async def _between(self, first: int, last: int, owner: int | None, caller: Caller) -> list[Job]:
        """Return the jobs of a range of ids, of one user or of all; raises ``UserError``."""
        most = -1 if caller.admin else MOST_MEANT + 1
        some = await self.committer.read(Reader.jobs_between, first, last, owner, most)
        must_be_few(len(some), caller)
        return some

    async def _elements(self, array: int, indices: str) -> list[Job]:
        """Return the elements of an array that ``3``, ``0-9`` or ``0,3,7-9`` means."""
        jobs: dict[int, Job] = {}
        for part in indices.split(","):
            first, _, last = part.partition("-")
            some = await self.committer.read(
                Reader.elements, array, _number(first), _number(last or first)
            )
            jobs |= {job.id: job for job in some}
        return list(jobs.values())

    async def one_job(self, ref: str, caller: Caller) -> Job:
        """Return the job that a reference means; of several with a name, the newest.

        Raises ``UserError`` for an array, because it does not name an element.
        """
        jobs = await self.resolve(ref, caller)
        place = jobs[-1].element
        if len(jobs) > 1 and place is not None and (ref == "last" or ref == str(place.array)):
            example = f"{place.array}[{place.index}]"
            raise UserError(
                f"{ref} is an array of {len(jobs)} jobs",
                fix=f"Name one of them, such as {example}; `launch ps {place.array}` lists them.",
            )
        return jobs[-1]

    async def spec(self, job_id: int) -> wire.JobSpec | None:
        """Return the job's request; None if the request or the job is lost."""
        stored = await self.committer.read(Reader.spec, job_id)
        return made_again(stored) if stored is not None else None


def must_be_few(count: int, caller: Caller) -> None:
    """Raise ``UserError`` if references mean more jobs than a user's request may name."""
    if count > MOST_MEANT and not caller.admin:
        raise UserError(
            f"the references match more than {MOST_MEANT} jobs",
            fix="Name fewer at once, such as 10-20; `launch ps -a` lists all.",
        )


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges of numbers, both ends included, without overlaps, in order."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(span for span in spans if span[0] <= span[1]):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return result


def must_own(job: Job, caller: Caller) -> None:
    """Raise ``NotAllowed`` unless the job is the caller's, or the caller is an admin."""
    if not caller.may_see(job.owner):
        raise NotAllowed(
            f"job {job.id} belongs to {job.owner.name}, not to {caller.owner.name}",
            fix="Only its owner and an admin may do this.",
        )


def _number(text: str) -> int:
    value = int(text[:20])
    if value > MAX_ID:
        raise UserError(f"{text} is not a job id")
    return value
