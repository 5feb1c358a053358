"""A job as an object of the asyncio client."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from launcher import wire
from launcher.client.aio.awaited import ReplayedTransport, awaited
from launcher.client.aio.transport import AsyncTransport
from launcher.client.handles.job import MOST_OUTPUT, Job
from launcher.client.handles.outcomes import COMPLETED, LAST_LINES, failure, not_ended
from launcher.client.handles.text_lines import Source, TextHead, TextLines
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from launcher.client.aio.client import AsyncClient


class AsyncJob:
    """The asyncio twin of ``Job``: the same methods, as coroutines and asynchronous iterators.

    An ``async with`` block waits at its end until the job has ended; if an exception or a cancelled
    task leaves the block, the job is cancelled.
    """

    def __init__(
        self, client: AsyncClient, job_id: int, elements: Sequence[int] | None = None
    ) -> None:
        self.client = client
        self.id = job_id
        self._elements = elements

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"

    @property
    def _transport(self) -> AsyncTransport:
        """What sends the requests."""
        return self.client._transport

    def _over(self, replies: ReplayedTransport) -> Job:
        """Return the synchronous twin, with these replies as its transport."""
        return Job(self.client._over(replies), self.id, self._elements)

    view = awaited(Job.view)
    cancel = awaited(Job.cancel)
    hold = awaited(Job.hold)
    release = awaited(Job.release)
    why = awaited(Job.why)

    async def state(self) -> str:
        """Return the state now, such as RUNNING, or the outcome of a job that has ended."""
        return (await self.view()).word

    async def wait(self, timeout: float | None = None) -> wire.JobView:
        """As ``Job.wait``; any number of tasks may wait, over one connection of the client."""
        if self._elements is None:
            return await self.client.wait(self.id, timeout)
        with contextlib.suppress(TimeoutError):
            async for _ in self.client._ended(self._elements, timeout):
                pass
        return await self.view()

    async def result(self, timeout: float | None = None) -> wire.JobView:
        """As ``Job.result``: raises ``JobFailed`` and ``TimeoutError``."""
        view = await self.wait(timeout)
        if view.outcome is None:
            raise not_ended(view, timeout)
        if view.outcome != COMPLETED:
            raise failure(view, await self._last_lines(view.id))
        return view

    async def logs(
        self,
        *,
        follow: bool = False,
        tail: int | None = None,
        attempt: int | None = None,
        source: Source = "both",
    ) -> AsyncIterator[str]:
        """Yield the lines of the job's output, as ``Job.logs`` does."""
        lines = TextLines(source)
        async for frame in self.frames(follow=follow, tail=tail, attempt=attempt):
            if frame.stream == wire.NOTE:
                self.client._plain.notice(frame.data.decode("utf-8", "replace"))
            for line in lines.whole(frame):
                yield line
        for line in lines.rest():
            yield line

    def frames(
        self, *, follow: bool = False, tail: int | None = None, attempt: int | None = None
    ) -> AsyncIterator[wire.Frame]:
        """Yield the job's output as it came, in bytes with stream and time."""
        return self.client.logs(self.id, follow=follow, tail=tail, attempt=attempt)

    async def output(self, most_bytes: int = MOST_OUTPUT) -> str:
        """Return the start of the standard output, ``most_bytes`` at most; ``logs`` yields all."""
        head = TextHead(most_bytes)
        async for frame in self.frames():
            if not head.add(frame):
                break
        return head.text()

    def elements(self) -> list[AsyncJob]:
        """Return the elements of an array, by index; of a single job, itself."""
        if self._elements is None:
            return [self]
        return [AsyncJob(self.client, job_id) for job_id in self._elements]

    async def _last_lines(self, job_id: int) -> list[str]:
        try:
            return [line async for line in AsyncJob(self.client, job_id).logs(tail=LAST_LINES)]
        except LauncherError:  # the log is deleted, or another user's
            return []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            await self.wait()
        else:
            await self.cancel()
