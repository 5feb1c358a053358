"""Streams of frames: an attempt's log file, and a job with everything that happens to it."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator

from launcher import wire
from launcher.core.explain import Explainer
from launcher.core.job import Job
from launcher.daemon import clock, convert, views
from launcher.daemon.context import Context
from launcher.daemon.identity import Caller
from launcher.daemon.logfile import LOST, LogReader, is_loss, path_of
from launcher.daemon.tail import Lines, Tail
from launcher.daemon.threads import in_thread
from launcher.wire import END, EVENT, NOTE, STDERR, STDOUT, Frame

LOOK_SECONDS = 2.0
JUST_ENDED_SECONDS = 5.0
OUTPUT = (STDOUT, STDERR, NOTE)


class Attempt:
    """The log of one attempt as far as it was read; ``ended`` once its END frame was."""

    def __init__(self, context: Context, job: int, number: int) -> None:
        self.job, self.number = job, number
        self._reader = LogReader(path_of(context.log_directory, job, number))
        self.path = path_of(context.log_directory, job, number)
        self.ended = False
        self.told_lost = False
        self._tail: Tail | None = None
        self._grew = time.monotonic()

    def quiet_for(self) -> float:
        """Return for how many seconds nothing more was read."""
        return time.monotonic() - self._grew

    def new_frames(self) -> Iterator[Frame]:
        """Yield the output that was written since the last call."""
        for frame in self._reader.read():
            if frame.stream == END:
                self.ended = True
                return
            self._grew = time.monotonic()
            self.told_lost = self.told_lost or is_loss(frame)
            if self._tail is None or self._tail.shows(frame):
                yield frame

    def skip_to_tail(self, most: int) -> list[Frame]:
        """Leave out all but the last lines, ``most`` of them; returns the first frame of these.

        Blocking: it goes through the log twice, whatever its size, and holds nothing of it.
        """
        lines, counting = Lines(), LogReader(self.path)
        while lines.add(frame for frame in counting.read() if frame.stream != END):
            pass
        self._tail = Tail(lines.count - most)
        position = -1
        while position != self._reader.position:
            position = self._reader.position
            for frame in self.new_frames():
                return [frame]
        return []


async def log_frames(
    context: Context, job: Job, attempt: int | None, *, follow: bool, tail: int | None
) -> AsyncIterator[list[Frame]]:
    """Yield the output of an attempt, or of the job's last one where None. Ends with END.

    With ``follow`` until it is complete; a job that waits is waited for. Without, the log of a job
    that has ended is read to its end, also where a loud one's is still being written; its ``tail``
    is known only then.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + JUST_ENDED_SECONDS
    reading: Attempt | None = None
    with context.hub.watch(job.id) as woken:
        while True:
            woken.clear()
            now = await context.find(job.id) or job
            number = attempt or now.attempt
            reading = _reading(context, reading, job.id, number, first=number)
            owed = bool(now.outcome) and context.hub.log_owed(job.id, number)
            if owed and tail is not None:
                yield []
                await _wake(woken)
                continue
            batch = []
            if reading and tail is not None:
                batch = await _first_of_tail(context, reading, job.owner.uid, tail)
                tail = None
            if reading:
                batch += reading.new_frames()
            yield batch
            if _complete(context, reading, now, number):
                break
            if batch:
                until = loop.time() + JUST_ENDED_SECONDS
            if not (batch or follow or owed or (now.outcome and loop.time() < until)):
                break
            if not batch:
                await _wake(woken)
    yield [*_loss(context, reading, now), Frame(END, 0, b"")]


async def _first_of_tail(context: Context, reading: Attempt, uid: int, tail: int) -> list[Frame]:
    """Skip to the last lines of a log, for one reader of a user's logs at a time."""
    async with context.limiter.alone(uid, "tail"):
        return await in_thread("tail", functools.partial(reading.skip_to_tail, tail))


def _reading(
    context: Context, reading: Attempt | None, job: int, number: int, *, first: int
) -> Attempt | None:
    """Return the log to read now: from that of attempt ``first`` on, each to its end."""
    if reading is None:
        return Attempt(context, job, first) if number else None
    if reading.number < number and _is_over(context, reading):
        return Attempt(context, job, reading.number + 1)
    return reading


def _is_over(context: Context, reading: Attempt) -> bool:
    """Whether nothing more will be written to the log of an attempt before the present one."""
    job, number = reading.job, reading.number
    if reading.ended or context.hub.log_lost(job, number):
        return True
    if context.hub.log_owed(job, number):
        return False
    return not reading.path.exists() or reading.quiet_for() > JUST_ENDED_SECONDS


async def _wake(woken: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await woken.wait()
    except TimeoutError:
        return


class Resume:
    """Leaves out what a reconnecting client has seen: all up to its last frame, in file order.

    Not by time: stdout and stderr are stamped apart, so times are not quite in order.
    """

    def __init__(self, after_ns: int, skip: int) -> None:
        self._after, self._left = after_ns, skip

    def is_new(self, frame: Frame) -> bool:
        """Whether the client has not seen this frame."""
        if self._left == 0:
            return True
        self._left -= frame.time_ns == self._after
        return False


async def follow_frames(
    context: Context, job: Job, caller: Caller, resume: Resume
) -> AsyncIterator[list[Frame]]:
    """Yield what happens to a job: EVENT frames on every change, its output, END with the job."""
    spec = await context.spec(job.id)
    command = views.cut(spec.command) if spec else None
    del spec
    reading: Attempt | None = None
    told = b""
    with context.hub.watch(job.id, job.image.reference) as woken:
        while True:
            woken.clear()
            now = await context.find(job.id) or job
            event = _event(context, now, caller, command)
            if (digest := hashlib.sha256(event).digest()) != told:
                told = digest
                yield [Frame(EVENT, 0, event)]
            del event
            reading = _reading(context, reading, now.id, now.attempt, first=1)
            output = list(reading.new_frames()) if reading else []
            yield [frame for frame in output if resume.is_new(frame)]
            if now.outcome is not None and _complete(context, reading, now, now.attempt):
                yield _loss(context, reading, now)
                explainer = Explainer(context.world, clock.now())
                view = views.job_view(explainer, now, caller, command)
                yield [Frame(END, 0, convert.dump(wire.JobView, view))]
                return
            if not output:
                await _wake(woken)


def _complete(context: Context, reading: Attempt | None, job: Job, last: int) -> bool:
    """Whether nothing more will be written: the log ended, was lost, or there never was one.

    ``last`` is the attempt whose log is the last to be read.
    """
    if reading is None:
        return job.outcome is not None
    if reading.number < last or (reading.number == job.attempt and job.outcome is None):
        return False
    if reading.ended or context.hub.log_lost(job.id, reading.number):
        return True
    ran = job.started_at is not None or reading.number != job.attempt
    if not ran and not reading.path.exists():
        return True
    # Nobody is writing it, and nobody will: its end was lost before this daemon began.
    owed = context.hub.log_owed(job.id, reading.number)
    return not owed and reading.quiet_for() > JUST_ENDED_SECONDS


def _loss(context: Context, reading: Attempt | None, job: Job) -> list[Frame]:
    """Return what is to be said of a log that is over and has no end, where it does not itself."""
    if reading is None or reading.ended or reading.told_lost or job.outcome is None:
        return []
    ran = job.started_at is not None or reading.number != job.attempt
    if not ran or context.hub.log_owed(job.id, reading.number):
        return []
    return [Frame(NOTE, 0, f"{LOST}: it could not be written to its end".encode())]


def _event(context: Context, job: Job, caller: Caller, command: list[str] | None) -> bytes:
    explainer = Explainer(context.world, clock.now())
    view = views.job_view(explainer, job, caller, command)
    why = explainer.blockers(job) if job.id in context.world.jobs else []
    layers = context.hub.progress.get(job.image.reference) if view.reason == "ImagePull" else None
    return json.dumps(
        {
            "job": json.loads(convert.dump(wire.JobView, view)),
            "blockers": [{"kind": b.reason.value, "need": b.need, "have": b.have} for b in why],
            "progress": None if layers is None else {"layers": layers},
        }
    ).encode()


async def resumed(
    batches: AsyncIterator[list[Frame]], resume: Resume
) -> AsyncIterator[list[Frame]]:
    """Leave out what a reconnecting client has seen."""
    async for batch in batches:
        yield [f for f in batch if f.stream not in OUTPUT or resume.is_new(f)]


async def wait_for_outcome(context: Context, job: Job, seconds: float) -> Job:
    """Return the job once its outcome is set, or as it is after so many seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    with context.hub.watch(job.id) as woken:
        while True:
            woken.clear()
            now = await context.find(job.id) or job
            left = until - loop.time()
            if now.outcome is not None or left <= 0:
                return now
            try:
                async with asyncio.timeout(left):
                    await woken.wait()
            except TimeoutError:
                continue
