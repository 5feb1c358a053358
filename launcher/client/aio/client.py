"""The asyncio client: the methods of ``Client`` as coroutines and asynchronous iterators."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from launcher import errors, wire
from launcher.client.aio.awaited import ReplayedTransport, awaited
from launcher.client.aio.job import AsyncJob
from launcher.client.aio.parts import AsyncImage, AsyncLayout, AsyncQueue
from launcher.client.aio.results import AsyncMapResults
from launcher.client.aio.transport import AsyncTransport
from launcher.client.aio.watcher import Watcher
from launcher.client.api import Client, credentials_of
from launcher.client.base import RECONNECT_SECONDS, Ref
from launcher.client.following import OutputStream, Patience, follow_query, log_query
from launcher.client.handles.job import Job, job_of
from launcher.client.handles.specs import job_spec, map_spec, map_values
from launcher.client.handles.values import Command
from launcher.client.http import CutStream, must_be_short
from launcher.client.machine import BACKUP_SECONDS

if TYPE_CHECKING:
    from typing import Unpack

    from launcher.client.handles.job_fields import JobFields

V = TypeVar("V")


class AsyncClient:
    """A connection to the daemon, for the tasks of one event loop at a time.

    The arguments are those of ``Client``. A cancelled call closes its connection at once. At most
    16 requests and 64 streams are open at once, others wait in turn; all waits share one.
    """

    def __init__(
        self,
        socket: str | None = None,
        timeout: float = 30,
        *,
        notice: Callable[[str], None] | None = None,
        reconnect: float = RECONNECT_SECONDS,
        role: str | None = None,
    ) -> None:
        self._plain = Client(socket, timeout, notice=notice, reconnect=reconnect, role=role)
        """Settings and socket, as those of a synchronous client."""
        self._transport = AsyncTransport(self._plain._transport)
        self._watcher = Watcher(self)

    @property
    def socket(self) -> str | None:
        """The socket that answered; None before the first reply."""
        return self._plain.socket

    @property
    def daemon_version(self) -> str | None:
        """The daemon's version; None before the first reply."""
        return self._plain.daemon_version

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the ssh connection, if there is one; the next request makes a new one."""
        await asyncio.to_thread(self._plain.close)

    def as_session(self, session: str) -> AsyncClient:
        """Return a client that asks for the user of a session of the pages.

        It shares this one's limits of requests and streams.
        """
        result = copy.copy(self)
        result._plain = self._plain.as_session(session)
        result._transport = self._transport.over(result._plain._transport)
        result._watcher = Watcher(result)
        return result

    def _over(self, replies: ReplayedTransport) -> Client:
        """Return the synchronous twin, with these replies as its transport."""
        result = copy.copy(self._plain)
        result._transport = cast(Any, replies)
        return result

    status = awaited(Client.status)
    login = awaited(Client.login)
    publish = awaited(Client.publish)
    submit = awaited(Client.submit)
    jobs = awaited(Client.jobs)
    head = awaited(Client.head)
    show = awaited(Client.show)
    array = awaited(Client.array)
    docker_command = awaited(Client.docker_command)
    cancel = awaited(Client.cancel)
    hold = awaited(Client.hold)
    release = awaited(Client.release)
    requeue = awaited(Client.requeue)
    retry = awaited(Client.retry)
    edit = awaited(Client.edit)
    cancel_all = awaited(Client.cancel_all)
    signal = awaited(Client.signal)
    metrics = awaited(Client.metrics)
    web_token = awaited(Client.web_token)
    web_session = awaited(Client.web_session)
    web_caller = awaited(Client.web_caller)
    web_logout = awaited(Client.web_logout)
    slices = awaited(Client.slices)
    changed = awaited(Client.changed)
    prune = awaited(Client.prune)
    disk = awaited(Client.disk)
    events = awaited(Client.events)
    usage = awaited(Client.usage)
    jobs_used = awaited(Client.jobs_used)
    notifications = awaited(Client.notifications)
    report_notifications = awaited(Client.report_notifications)
    notify = awaited(Client.notify)
    notify_test = awaited(Client.notify_test)
    clear_cache = awaited(Client.clear_cache)
    audit = awaited(Client.audit)
    doctor = awaited(Client.doctor)
    doctor_fix = awaited(Client.doctor_fix)
    stop = awaited(Client.stop)

    @property
    def queue(self) -> AsyncQueue:
        """Requests about the queue: its order, reasons, forecasts, reservations."""
        return AsyncQueue(self)

    @property
    def image(self) -> AsyncImage:
        """Requests about images that users loaded."""
        return AsyncImage(self)

    @property
    def layout(self) -> AsyncLayout:
        """Requests about the layout of the GPUs."""
        return AsyncLayout(self)

    async def run(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        *,
        profile: str | None = None,
        **fields: Unpack[JobFields],
    ) -> AsyncJob:
        """Queue one job and return it: see ``Client.run``."""
        spec = job_spec(image, command, profile, fields)
        return self._job(job_of(self._plain, await self._queued(spec), ""))

    async def map(
        self,
        image: str,
        command: Command[V],
        values: Iterable[V],
        *,
        profile: str | None = None,
        max_parallel: int | None = None,
        **fields: Unpack[JobFields],
    ) -> AsyncMapResults[V]:
        """Queue one array with an element for each value: see ``Client.map``."""
        chosen = map_values(values)
        if not chosen:
            return AsyncMapResults(self, [], [])
        spec = map_spec(image, command, chosen, profile, max_parallel, fields)
        return AsyncMapResults(self, chosen, await self._queued(spec))

    async def job(self, ref: Ref) -> AsyncJob:
        """Return an existing job or array: by id, name, ``last``, or as an element ``42[0]``."""
        return self._job(job_of(self._plain, await self.jobs([ref]), str(ref)))

    async def wait(self, ref: Ref, timeout: float | None = None) -> wire.JobView:
        """Return the job when it has its outcome; after ``timeout`` seconds, its state then.

        Waits while the daemon restarts. Any number of tasks may wait, over one connection.
        """
        job_id = int(ref) if str(ref).isdecimal() else (await self.show(ref)).job.id
        try:
            async with asyncio.timeout(timeout):
                return await self._watcher.wait(job_id)
        except TimeoutError:
            return (await self.show(job_id)).job

    async def _ended(
        self, ids: Collection[int], timeout: float | None = None
    ) -> AsyncIterator[wire.JobView]:
        """Yield jobs as they end; raise ``TimeoutError`` if some have not after ``timeout`` s."""
        loop = asyncio.get_running_loop()
        until = None if timeout is None else loop.time() + timeout
        async with contextlib.aclosing(self._watcher.ended(ids)) as views:
            for _ in ids:
                async with asyncio.timeout_at(until):
                    view = await anext(views)
                yield view

    async def logs(
        self,
        ref: Ref,
        *,
        follow: bool = False,
        tail: int | None = None,
        attempt: int | None = None,
        since_ns: int = 0,
        until_ns: int | None = None,
    ) -> AsyncIterator[wire.Frame]:
        """Yield a job's output, frame by frame: see ``Client.logs``."""
        stream = OutputStream(ref, "logs", log_query(follow, tail, attempt, since_ns))
        async for frame in self._resumed(stream):
            if frame.stream == wire.END:
                return
            if frame.stream == wire.NOTE or since_ns <= frame.time_ns:
                if until_ns is not None and frame.time_ns >= until_ns:
                    return
                yield frame

    def follow(self, ref: Ref, *, output: bool = True) -> AsyncIterator[wire.Frame]:
        """Yield a job's changes and output until END: see ``Client.follow``."""
        return self._resumed(OutputStream(ref, "follow", follow_query(output)))

    async def backup(self) -> AsyncIterator[bytes]:
        """Yield a consistent copy of the daemon's database; raises ``CutStream``."""
        async for frame in self._transport.frames(
            "/v1/backup", timeout=BACKUP_SECONDS, method="POST"
        ):
            if frame.stream == wire.END:
                return
            yield frame.data
        raise CutStream("the daemon went away in the middle of the copy")

    async def _resumed(self, stream: OutputStream) -> AsyncIterator[wire.Frame]:
        patience = Patience(self._plain)
        while True:
            try:
                async for frame in self._transport.frames(
                    stream.path(), timeout=self._plain.timeout
                ):
                    patience.renew()
                    if stream.took(frame):
                        yield frame
                    if frame.stream == wire.END:
                        return
                raise CutStream("the daemon went away in the middle of a stream")
            except (errors.DaemonUnreachable, errors.RecoveryMode) as error:
                await asyncio.sleep(patience.after(error))
            except errors.TooMany as error:
                must_be_short(error)

    async def _queued(self, spec: wire.JobSpec) -> list[wire.JobView]:
        credentials = await asyncio.to_thread(credentials_of, spec)  # may run a helper
        return await self.submit([spec], credentials)

    def _job(self, job: Job) -> AsyncJob:
        return AsyncJob(self, job.id, job._elements)
