"""Streams of frames: an attempt's log file, and a job with all of its events."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar

from launcher import wire
from launcher.core.model.job import Job, State, wall_of
from launcher.core.scheduling.explain import Explainer
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.views import job_views
from launcher.daemon.loop import clock
from launcher.daemon.requests import convert
from launcher.daemon.users.identity import Caller
from launcher.output.log_file import LOST, is_loss, path_of
from launcher.output.old_format import convert_if_old
from launcher.output.reader import LogReader, opened
from launcher.output.search import last_lines, since
from launcher.wire import END, EVENT, NOTE, POSITION, Frame

P = ParamSpec("P")
T = TypeVar("T")

LOOK_SECONDS = 2.0
JUST_ENDED_SECONDS = 5.0
NOT_KEPT = "the log of attempt {} was deleted ([history] keep_logs and max_logs)"


@dataclass(frozen=True, slots=True)
class Resume:
    """The start of reading an attempt's log.

    Reading starts at the frame at ``position`` bytes of the file, without the frame's first ``cut``
    bytes, and skips ``skip`` frames, of which this is the first.
    """

    attempt: int
    position: int = 0
    cut: int = 0
    skip: int = 0


class FollowedAttempt:
    """The log of one attempt up to the part that was read; ``ended`` after its END frame."""

    def __init__(self, context: Context, job: Job, number: int, resume: Resume | None) -> None:
        self.job, self.number = job.id, number
        self.path = path_of(context.log_directory, job.id, number)
        self._context, self._uid = context, job.owner.uid
        self._from = resume if resume and resume.attempt == number else Resume(number)
        self._reader: LogReader | None = None
        self.ended = False
        self.told_lost = False
        self._quiet_since: float | None = time.monotonic()

    def quiet_for(self) -> float:
        """Return for how many seconds there has been nothing to read.

        The time that a client takes to receive frames does not count.
        """
        return 0.0 if self._quiet_since is None else time.monotonic() - self._quiet_since

    async def start(self, query: LogQuery) -> None:
        """Start at the position in the query."""
        if query.resume is not None:
            return
        if query.tail is not None:
            await self._blocking(convert_if_old, self.path)
            self._from = Resume(
                self.number, *await self._blocking(last_lines, self.path, query.tail)
            )
        elif query.since_ns is not None:
            await self._blocking(convert_if_old, self.path)
            self._from = Resume(self.number, await self._blocking(since, self.path, query.since_ns))

    async def new_frames(self) -> list[Frame]:
        """Return the output written since the last call, after a frame with its position."""
        if self._reader is None:
            start = self._from
            self._reader = await self._blocking(opened, self.path, start.position, start.skip)
        before = self._reader.position
        frames = self._reader.read_cached()
        if frames is None:
            frames = await self._blocking(self._reader.read)
        if frames and frames[-1].stream == END:
            self.ended = True
            frames.pop()
        if not frames:
            self._quiet_since = self._quiet_since or time.monotonic()
            return []
        self._quiet_since = None
        self.told_lost = self.told_lost or any(map(is_loss, frames))
        cut = 0 if self._from.skip else self._from.cut
        self._from = Resume(self.number)
        if cut:
            frames[0] = replace(frames[0], data=frames[0].data[cut:])
        return [Frame(POSITION, 0, f"{self.number}.{before}.{cut}".encode()), *frames]

    async def _blocking(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that blocks on the disk."""
        return await self._context.users.run(self._uid, call, *args, **kwargs)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """The part of a job's logs to read: of one attempt, or of the last one if None.

    It starts at ``resume``, at the last ``tail`` lines, or near the first output since ``since_ns``
    (nanoseconds since 1970), in this order.
    """

    attempt: int | None
    follow: bool
    tail: int | None = None
    since_ns: int | None = None
    resume: Resume | None = None


async def log_frames(context: Context, job: Job, query: LogQuery) -> AsyncIterator[list[Frame]]:
    """Yield the output of an attempt. Ends with END.

    With ``follow``, reads until the log is complete, and waits for a waiting job. Without, the log
    of an ended job is read to its end, even if a long one is still being written; its ``tail`` is
    known only then.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + JUST_ENDED_SECONDS
    reading: FollowedAttempt | None = None
    with context.subscriptions.watch(job.id) as woken:
        while True:
            woken.clear()
            now = await context.find(job.id) or job
            number = query.attempt or now.attempt
            owed = bool(now.outcome) and context.subscriptions.log_owed(job.id, number)
            if owed and query.tail is not None and reading is None:
                yield []
                await _wake(woken)
                continue
            if reading is None and number:
                reading = FollowedAttempt(context, job, number, query.resume)
                await reading.start(query)
            elif reading is not None:
                reading = _next(context, reading, job, number)
            batch = await reading.new_frames() if reading and _is_visible(now, reading) else []
            yield batch
            if _complete(context, reading, now, number):
                break
            if batch:
                until = loop.time() + JUST_ENDED_SECONDS
            if not (batch or query.follow or owed or (now.outcome and loop.time() < until)):
                break
            if not batch:
                await _wake(woken)
    yield [*_loss(context, reading, now), *_unstarted(now, reading), Frame(END, 0, b"")]


def _unstarted(job: Job, reading: FollowedAttempt | None) -> list[Frame]:
    """Return a note for a job that never ran: an empty log could also be that of a quiet one."""
    if reading is not None:
        return []
    if job.outcome:
        text = f"job {job.ref} never ran: `launch show {job.ref}` says why"
    else:
        text = f"job {job.ref} has not started yet: `launch why {job.ref}` says why"
    return [Frame(NOTE, 0, text.encode())]


def _next(context: Context, reading: FollowedAttempt, job: Job, last: int) -> FollowedAttempt:
    """Return the log to read now: each is read to its end, up to that of attempt ``last``."""
    if reading.number < last and _is_over(context, reading):
        return FollowedAttempt(context, job, reading.number + 1, None)
    return reading


def _is_visible(job: Job, reading: FollowedAttempt) -> bool:
    """Whether an attempt's output may be shown: only once its start is recorded.

    Clients handle signals differently from then on.
    """
    return job.state is not State.STARTING or reading.number != job.attempt


def _is_over(context: Context, reading: FollowedAttempt) -> bool:
    """Whether nothing more will be written to the log of an earlier attempt."""
    job, number = reading.job, reading.number
    if reading.ended or context.subscriptions.log_lost(job, number):
        return True
    if context.subscriptions.log_owed(job, number):
        return False
    return not reading.path.exists() or reading.quiet_for() > JUST_ENDED_SECONDS


async def _wake(woken: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await woken.wait()
    except TimeoutError:
        return


async def follow_frames(
    context: Context, job: Job, caller: Caller, resume: Resume | None, *, output: bool
) -> AsyncIterator[list[Frame]]:
    """Yield a job's events: EVENT frames on every change, its ``output``, END with the job."""
    spec = await context.spec(job.id)
    command = job_views.cut(spec.command) if spec else None
    has_log = output and (spec is None or not spec.foreground)
    del spec
    reading: FollowedAttempt | None = None
    sent = b""
    with context.subscriptions.watch(job.id, job.image) as woken:
        while True:
            woken.clear()
            now = await context.find(job.id) or job
            event = _event(context, now, caller, command)
            if (digest := hashlib.sha256(event).digest()) != sent:
                sent = digest
                yield [Frame(EVENT, 0, event)]
            del event
            if reading is not None:
                reading = _next(context, reading, now, now.attempt)
            elif now.attempt and has_log:
                reading = FollowedAttempt(context, now, resume.attempt if resume else 1, resume)
            some = await reading.new_frames() if reading and _is_visible(now, reading) else []
            yield some
            if now.outcome is not None and (
                not output or _complete(context, reading, now, now.attempt)
            ):
                yield _loss(context, reading, now)
                explainer = Explainer(context.world, clock.now())
                view = job_views.job_view(explainer, now, caller, command)
                yield [Frame(END, 0, convert.dump(wire.JobView, view))]
                return
            if not some:
                await _wake(woken)


def _complete(context: Context, reading: FollowedAttempt | None, job: Job, last: int) -> bool:
    """Whether nothing more will be written: the log ended, was lost, or never existed.

    ``last`` is the last attempt whose log is read.
    """
    if reading is None:
        return job.outcome is not None
    if reading.number < last or (reading.number == job.attempt and job.outcome is None):
        return False
    if reading.ended or context.subscriptions.log_lost(job.id, reading.number):
        return True
    owed = context.subscriptions.log_owed(job.id, reading.number)
    ran = job.started_at is not None or reading.number != job.attempt
    if not owed and (not ran or _ended_before(job)) and not reading.path.exists():
        return True
    # No longer written: its end was lost before this daemon started.
    return not owed and reading.quiet_for() > JUST_ENDED_SECONDS


def _ended_before(job: Job) -> bool:
    """Whether a job ended long enough ago for its log to exist."""
    ended = wall_of(job.ended_at)
    return ended is None or ended < clock.now().wall - JUST_ENDED_SECONDS


def _loss(context: Context, reading: FollowedAttempt | None, job: Job) -> list[Frame]:
    """Return a note for a log that is over without an end, unless the log contains it."""
    if reading is None or reading.ended or reading.told_lost or job.outcome is None:
        return []
    ran = job.started_at is not None or reading.number != job.attempt
    if not ran or context.subscriptions.log_owed(job.id, reading.number):
        return []
    if not reading.path.exists() and _ended_before(job):
        return [Frame(NOTE, 0, NOT_KEPT.format(reading.number).encode())]
    return [Frame(NOTE, 0, f"{LOST}: its end could not be written".encode())]


def _event(context: Context, job: Job, caller: Caller, command: list[str] | None) -> bytes:
    explainer = Explainer(context.world, clock.now())
    view = job_views.job_view(explainer, job, caller, command)
    why = explainer.blockers(job) if job.id in context.world.jobs else []
    layers = context.subscriptions.progress.get(job.image) if view.reason == "ImagePull" else None
    return json.dumps(
        {
            "job": json.loads(convert.dump(wire.JobView, view)),
            "blockers": [{"kind": b.reason.value, "need": b.need, "have": b.have} for b in why],
            "progress": None if layers is None else {"layers": layers},
            "turn": _turn(context, job, caller),
        }
    ).encode()


def _turn(context: Context, job: Job, caller: Caller) -> dict[str, Any] | None:
    """Return a client's data for starting a foreground job now; only for the job's owner."""
    turn = context.turns.of(job.id) if caller.owner.uid == job.owner.uid else None
    return None if turn is None else dataclasses.asdict(turn)


async def wait_for_outcome(context: Context, job: Job, seconds: float) -> Job:
    """Return the job once its outcome is committed, or its state after ``seconds``."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    with context.subscriptions.watch(job.id) as woken:
        while True:
            woken.clear()
            now = await context.find(job.id) or job
            left = until - loop.time()
            durable = context.event_loop.changed(job.id) is None
            if (now.outcome is not None and durable) or left <= 0:
                return now
            try:
                async with asyncio.timeout(left):
                    await woken.wait()
            except TimeoutError:
                continue


async def wait_for_change(
    context: Context, caller: Caller, *, since: int | None, seconds: float
) -> wire.ChangeCount:
    """Return the number of changes once it is not ``since``, or after ``seconds``."""
    return wire.ChangeCount(count=await context.subscriptions.counter.after(since, seconds))
