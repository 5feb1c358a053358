"""The dependencies of every request handler, and the resolution of references to jobs."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher import wire
from launcher.config.settings import Config
from launcher.core.model.job import Job, State
from launcher.core.world.world import World
from launcher.daemon.access.job_ports import JobPorts
from launcher.daemon.access.terminals import Terminals
from launcher.daemon.api.handlers.forecasts.shared_estimate import SharedEstimate
from launcher.daemon.api.http.connections import ConnectionManager
from launcher.daemon.api.http.replies import Replies
from launcher.daemon.api.views.advice import Adviser
from launcher.daemon.api.views.job_counts import Counts
from launcher.daemon.attempts.foreground_turns import ForegroundTurns
from launcher.daemon.attempts.host_jobs import HostMachine
from launcher.daemon.attempts.measuring import Measuring
from launcher.daemon.attempts.starter import Starter
from launcher.daemon.loop import clock
from launcher.daemon.loop.audit_log import Audit
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.health import Health
from launcher.daemon.loop.subscriptions import Subscriptions
from launcher.daemon.machine.devices import Devices
from launcher.daemon.machine.disk_space import DiskFree
from launcher.daemon.machine.idle_check import IdleCheck
from launcher.daemon.metrics.daemon_metrics import DaemonMetrics
from launcher.daemon.mounts.home_keeper import HomeKeeper
from launcher.daemon.mounts.secret_mounts import SecretMounts
from launcher.daemon.mounts.secret_store import SecretStore
from launcher.daemon.output.log_usage import LogUsage
from launcher.daemon.output.retention import Retention
from launcher.daemon.requests.array_elements import made_again
from launcher.daemon.requests.notify import NotifyWatch
from launcher.daemon.users.accounts import Accounts
from launcher.daemon.users.credentials import Credentials
from launcher.daemon.users.fair_pool import FairPool
from launcher.daemon.users.identity import Caller
from launcher.daemon.users.rate_limits import Limiter
from launcher.engine.images import Images
from launcher.errors import LauncherError, NoSuchJob, NotAllowed, SeveralJobs, UserError
from launcher.gpu import GpuReader
from launcher.mount_helper import Pins
from launcher.spec.job_spec import JobSpec
from launcher.store import Reader, arrays, notifications

_RANGE = re.compile(r"(\d+)-(\d+)")
_ELEMENTS = re.compile(r"([^\[\]]+)\[(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)\]")
MAX_ID = 2**53
MOST_MEANT = 10_000
"""The maximum number of jobs that a range, or all references of a request, may mean."""
AT_A_TIME = 250
"""This many jobs are read or shown before other requests get a turn."""
MOST_LOOKED_AT = 1000
MOST_SHOWN = 10
"""The maximum number of jobs that the error for an ambiguous reference names."""
FIRST_LOOK_SECONDS = 3.0
LOOK_SECONDS = 1.0
"""Longest wait for the database where a request also answers without it."""


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
    measuring: Measuring
    metrics: DaemonMetrics
    disk: DiskFree
    devices: Devices
    container: str | None
    """The id of the container that the daemon runs in."""
    idle_check: IdleCheck
    remember: Callable[[Iterable[tuple[int, JobSpec]]], None]
    starter: Starter
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
    terminals: Terminals | None
    ports: JobPorts | None
    """None in a replay, which has no containers; so is ``terminals``."""
    users: FairPool
    """Threads for blocking calls of requests."""
    notify_watch: NotifyWatch = field(default_factory=NotifyWatch)
    starts: SharedEstimate = field(default_factory=SharedEstimate)
    loads: dict[int, asyncio.Task[Any]] = field(default_factory=dict)
    """The images that Docker unpacks, by uid: these go on when the client leaves."""

    @property
    def adviser(self) -> Adviser:
        """Gives advice on ended jobs."""
        return Adviser(self.committer, self.users, self.world)

    async def watch_notifications(self) -> NotifyWatch:
        """Return what knows whether notifications wait, after a look at the users' targets."""
        if self.notify_watch.wanted is None:
            # `status` answers also where the disk does not.
            with contextlib.suppress(LauncherError, TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    found = await self.committer.read(notifications.are_wanted)
                    self.notify_watch.wanted = found
        return self.notify_watch

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
        """Return the jobs that a reference means for a caller: one rule for every request.

        An id (``12``), ``last`` and a name mean one job; if that is an array, all of its elements.
        A name means the caller's newest job of that name; for an admin who has none, anybody's.
        ``12[3]``, ``train[0-9]`` and ``last[0,3]`` are elements of the array, ``10-20`` all jobs
        and arrays with these ids. Raises ``NoSuchJob`` if there is no such job, ``UserError`` if
        the reference is malformed.
        """
        if match := _ELEMENTS.fullmatch(ref):
            array = await self._array_of(match[1], caller)
            jobs = [] if array is None else await self._elements(array, match[2])
        elif "[" in ref:
            raise UserError(
                f"{ref} names no elements of an array", fix="Write 12[3], 12[0-9] or 12[0,3,7-9]."
            )
        elif match := _RANGE.fullmatch(ref):
            first, last_id = _number(match[1]), _number(match[2])
            jobs = await self._between(first, last_id, None, caller)
        elif (job := await self._one_of(ref, caller)) is not None:
            whole = job.element is not None and not _is_id(ref)
            array = job.element.array if job.element is not None else 0
            jobs = await self.committer.read(Reader.elements, array) if whole else [job]
        else:
            jobs = await self.committer.read(Reader.elements, _number(ref)) if _is_id(ref) else []
        if not jobs:
            raise await self._missing(ref)
        return await self._latest(jobs)

    async def _one_of(self, ref: str, caller: Caller) -> Job | None:
        """Return the job that an id, ``last`` or a name means; of an array one of its elements."""
        if _is_id(ref):
            return await self.find(_number(ref))
        if ref == "last":
            return await self.committer.read(Reader.last_of, caller.uid)
        jobs = await self.committer.read(Reader.jobs_named, ref, caller.uid, 1)
        if not jobs and caller.admin:
            jobs = await self.committer.read(Reader.jobs_named, ref, None, 1)
        return jobs[0] if jobs else None

    async def array_id(self, ref: str, caller: Caller) -> int:
        """Return the id of the array that a reference may mean; its elements are not read.

        Raises ``NoSuchJob`` if there is no such job or array.
        """
        if _is_id(ref):
            elements = await self.committer.read(arrays.number_of_elements, _number(ref))
            if elements:
                return _number(ref)
        if (job := await self._one_of(ref, caller)) is None:
            raise await self._missing(ref)
        whole = job.element is not None and not _is_id(ref)
        return job.element.array if job.element is not None and whole else job.id

    async def _array_of(self, ref: str, caller: Caller) -> int | None:
        """Return the id of the array that ``12``, ``last`` or a name means, None if it is none."""
        if _is_id(ref):
            return _number(ref)
        job = await self._one_of(ref, caller)
        return None if job is None or job.element is None else job.element.array

    async def _latest(self, jobs: Sequence[Job]) -> list[Job]:
        """As ``latest``, in steps: other requests run in between."""
        result: list[Job] = []
        for first in range(0, len(jobs), AT_A_TIME):
            result += self.latest(jobs[first : first + AT_A_TIME])
            await asyncio.sleep(0)
        return result

    def latest(self, jobs: Sequence[Job]) -> list[Job]:
        """Return jobs read from the store as they are now: some may have changed since the read."""
        return [self._recent(job.id) or job for job in jobs]

    async def _missing(self, ref: str) -> NoSuchJob:
        """Return the error for a reference without a job; for a deleted job it says since when."""
        if _is_id(ref):
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
            jobs |= {job.id: job for job in await self._latest(some)}
            must_be_few(len(jobs), caller)
        if not jobs:
            raise NoSuchJob("none of these jobs exists", fix="`launch ps -a` lists your jobs.")
        return [jobs[job_id] for job_id in sorted(jobs)]

    async def _between(self, first: int, last: int, owner: int | None, caller: Caller) -> list[Job]:
        """Return the jobs and elements of arrays with ids in a range, of one user or of all.

        Raises ``UserError`` if there are too many.
        """
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
        """Return the job that a reference means; raises ``SeveralJobs`` if it means several."""
        if _is_id(ref) and self._recent(_number(ref)) is None:
            read, array = self.committer.read, _number(ref)
            first = await read(arrays.first_elements, array, MOST_LOOKED_AT)
            if len(first) > 1:  # not all of them: there may be 100,000
                total = await read(arrays.number_of_elements, array)
                raise several(ref, self.latest(first), total)
        jobs = await self.resolve(ref, caller)
        if len(jobs) > 1:
            raise several(ref, jobs)
        return jobs[0]

    async def spec(self, job_id: int) -> wire.JobSpec | None:
        """Return the job's request; None if the request or the job is lost."""
        stored = await self.committer.read(Reader.spec, job_id)
        return made_again(stored) if stored is not None else None


def several(ref: str, jobs: Sequence[Job], total: int | None = None) -> SeveralJobs:
    """Return the error that a reference means several jobs, with those that could be named.

    ``total`` is how many it means if ``jobs`` are only the first.
    """
    array, total = array_of(jobs), total or len(jobs)
    if array is None or "[" in ref:
        what = f"{ref} means {total} jobs"
    else:
        name = "an array" if ref == str(array) else f"array {array},"
        what = f"{ref} is {name} of {total} jobs"
    first = jobs[:MOST_LOOKED_AT]
    likely = sorted(first, key=lambda job: job.state in (State.PENDING, State.DONE))  # stable
    shown = ", ".join(f"{job.ref} ({_word(job)})" for job in likely[:MOST_SHOWN])
    more = f" and {total - MOST_SHOWN} more" if total > MOST_SHOWN else ""
    return SeveralJobs(what, fix=f"Name one of them: {shown}{more}; `launch ps {ref}` lists them.")


def array_of(jobs: Sequence[Job]) -> int | None:
    """Return the array of which all of these jobs are elements, None if they are of no one array.

    The elements of an array have successive ids, so the first and the last tell.
    """
    arrays = {None if job.element is None else job.element.array for job in (jobs[0], jobs[-1])}
    return arrays.pop() if len(arrays) == 1 else None


def _word(job: Job) -> str:
    return job.outcome.value if job.outcome else job.state.value


def _is_id(ref: str) -> bool:
    return ref.isascii() and ref.isdecimal()


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
            f"job {job.ref} belongs to {job.owner.name}, not to {caller.owner.name}",
            fix="Only its owner and an admin may do this.",
        )


def _number(text: str) -> int:
    value = int(text[:20])
    if value > MAX_ID:
        raise UserError(f"{text} is not a job id")
    return value
