"""Waits for any number of jobs over one connection, for all tasks that use a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from functools import partial
from typing import TYPE_CHECKING

from launcher import errors
from launcher.client.base import job_path
from launcher.client.decode import decode
from launcher.client.following import Patience
from launcher.client.handles.outcomes import ENDED, batches, pause_after
from launcher.client.http import must_be_short
from launcher.wire import JobView

if TYPE_CHECKING:
    from launcher.client.aio.client import AsyncClient

GATHER_SECONDS = 0.03
"""New waits are gathered for this time: it limits how often jobs are listed."""


class Watcher:
    """Lists which jobs have ended; in the pauses it waits for the first that has not.

    It has a task while something is waited for. The last wait that is cancelled ends the task.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._waiting: dict[int, set[asyncio.Future[JobView]]] = {}
        self._known: set[int] = set()
        """Jobs that exist: of the others the first list shows whether they do."""
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def wait(self, job_id: int) -> JobView:
        """Return a job when it has its outcome."""
        return await self._future(job_id)

    async def ended(self, ids: Collection[int]) -> AsyncGenerator[JobView, None]:
        """Yield jobs as they end."""
        arrived: asyncio.Queue[asyncio.Future[JobView]] = asyncio.Queue()
        futures = [self._future(job_id) for job_id in ids]
        try:
            for future in futures:
                future.add_done_callback(arrived.put_nowait)
            for _ in futures:
                yield (await arrived.get()).result()
        finally:
            for future in futures:
                if not future.cancel() and not future.cancelled():
                    future.exception()  # else asyncio reports that no task has seen it

    def _future(self, job_id: int) -> asyncio.Future[JobView]:
        loop = asyncio.get_running_loop()
        if self._task is not None and self._task.get_loop() is not loop:
            self._waiting, self._known, self._task = {}, set(), None
        if self._task is None or self._task.done():
            self._more = asyncio.Event()
            self._task = loop.create_task(self._watch())
        future: asyncio.Future[JobView] = loop.create_future()
        self._waiting.setdefault(job_id, set()).add(future)
        future.add_done_callback(partial(self._left, job_id))
        self._more.set()
        return future

    def _left(self, job_id: int, future: asyncio.Future[JobView]) -> None:
        waits = self._waiting.get(job_id, set())
        waits.discard(future)
        if not waits:
            self._waiting.pop(job_id, None)
            self._known.discard(job_id)
        if not self._waiting and self._task is not None:
            self._task.cancel()
            self._task = None  # it needs a moment to end; a new wait gets a new one

    async def _watch(self) -> None:
        patience = Patience(self._client._plain)
        loop = asyncio.get_running_loop()
        while self._waiting:
            self._more.clear()
            await asyncio.sleep(GATHER_SECONDS)
            began = loop.time()
            try:
                await self._list()
                if self._waiting:
                    await self._pause(pause_after(loop.time() - began, len(self._waiting)))
                patience.renew()
            except (errors.DaemonUnreachable, errors.RecoveryMode) as error:
                await self._retry(patience, error)
            except Exception as error:  # a task that ended would leave all waits waiting
                self._fail(error)

    async def _retry(
        self, patience: Patience, error: errors.DaemonUnreachable | errors.RecoveryMode
    ) -> None:
        try:
            delay = patience.after(error)
        except errors.LauncherError as final:
            self._fail(final)
        else:
            await asyncio.sleep(delay)

    async def _list(self) -> None:
        """Look which jobs have ended, and whether the new ones exist."""
        new = self._waiting.keys() - self._known
        for refs in batches(self._waiting.keys() & self._known):
            self._found(await self._jobs(refs, ENDED))
        for refs in batches(new):
            self._found(await self._jobs(refs, None))
        for job_id in new & self._waiting.keys() - self._known:
            await self._poll(job_id, 0.0)  # it is not there, or an array: the daemon says so

    async def _jobs(self, refs: list[str], state: str | None) -> list[JobView]:
        try:
            return await self._client.jobs(refs, state=state)
        except errors.NoSuchJob:  # all of them are gone
            return []
        except errors.TooMany as error:
            must_be_short(error)
            return []

    def _found(self, views: list[JobView]) -> None:
        for view in views:
            self._known.add(view.id)
            if view.outcome is not None:
                self._known.discard(view.id)
                for future in self._waiting.pop(view.id, ()):
                    if not future.done():
                        future.set_result(view)

    async def _pause(self, seconds: float) -> None:
        """Wait for the end of a job, for a new wait, or for ``seconds``."""
        poll = asyncio.create_task(self._poll(min(self._waiting), seconds))
        more = asyncio.create_task(self._more.wait())
        try:
            await asyncio.wait((poll, more), return_when=asyncio.FIRST_COMPLETED)
        finally:
            more.cancel()
            poll.cancel()
            _, failed = await asyncio.gather(more, poll, return_exceptions=True)
        if isinstance(failed, Exception):
            raise failed

    async def _poll(self, job_id: int, seconds: float) -> None:
        client = self._client._plain
        path = f"{job_path(job_id)}/wait?timeout={seconds:g}"
        try:
            reply = await self._client._transport.unlimited(
                "GET", path, timeout=seconds + client.timeout
            )
        except errors.TooMany as error:
            must_be_short(error)
            await asyncio.sleep(error.retry_after)
        except (errors.NoSuchJob, errors.UserError) as error:
            self._fail(error, job_id)
        else:
            self._found([decode(JobView, reply)])

    def _fail(self, error: Exception, job_id: int | None = None) -> None:
        """Raise an error in the waits for one job, or in all."""
        for waited in [job_id] if job_id is not None else list(self._waiting):
            self._known.discard(waited)
            for future in self._waiting.pop(waited, ()):
                if not future.done():
                    future.set_exception(error)
