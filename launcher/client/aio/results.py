"""The results of ``AsyncClient.map``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from launcher.client.aio.job import AsyncJob
from launcher.client.handles.job import MOST_OUTPUT
from launcher.client.handles.results import Ended, array_id
from launcher.wire import JobView

if TYPE_CHECKING:
    from launcher.client.aio.client import AsyncClient

V = TypeVar("V")


class AsyncMapResult(Ended[V, AsyncJob]):
    """How the element of one value ended."""

    async def output(self, most_bytes: int = MOST_OUTPUT) -> str:
        """Return the start of its standard output, ``most_bytes`` at most."""
        return await self.job.output(most_bytes)

    async def check(self) -> None:
        """Raise ``JobFailed`` unless it completed."""
        if not self.ok:
            await self.job.result()


class AsyncMapResults(Generic[V]):
    """The asyncio twin of ``MapResults``: ``async for`` yields results in the order of the values.

    A failed element is a result too: ``AsyncMapResult.check`` raises. Raises ``LauncherError``.
    """

    def __init__(self, client: AsyncClient, values: Sequence[V], views: Sequence[JobView]) -> None:
        ids = [view.id for view in views]
        self.job = None if not views else AsyncJob(client, array_id(views), ids)
        """The array; None for a map of no values."""
        self.jobs = [] if self.job is None else self.job.elements()
        self._client = client
        self._values = dict(zip(ids, values, strict=True))
        self._views: dict[int, JobView] = {}

    def __len__(self) -> int:
        return len(self._values)

    async def __aiter__(self) -> AsyncIterator[AsyncMapResult[V]]:
        arriving = self._arriving(None)
        for job_id in self._values:
            while job_id not in self._views:
                await anext(arriving)
            yield self._result(job_id)

    async def as_completed(self, timeout: float | None = None) -> AsyncIterator[AsyncMapResult[V]]:
        """Yield each result as soon as its element has ended, as ``MapResults.as_completed``."""
        for job_id in list(self._views):
            yield self._result(job_id)
        async for view in self._arriving(timeout):
            yield self._result(view.id)

    async def cancel(self) -> None:
        """End the elements that have not ended."""
        if self.job is not None:
            await self.job.cancel()

    async def _arriving(self, timeout: float | None) -> AsyncIterator[JobView]:
        left = [job_id for job_id in self._values if job_id not in self._views]
        async for view in self._client._ended(left, timeout):
            self._views[view.id] = view
            yield view

    def _result(self, job_id: int) -> AsyncMapResult[V]:
        job = AsyncJob(self._client, job_id)
        return AsyncMapResult(self._values[job_id], job, self._views[job_id])
