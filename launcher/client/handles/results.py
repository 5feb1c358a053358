"""The results of ``Client.map``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from launcher.client.handles.job import MOST_OUTPUT, Job
from launcher.client.handles.outcomes import COMPLETED
from launcher.client.handles.waiting import ended
from launcher.wire import JobView

if TYPE_CHECKING:
    from launcher.client.api import Client

V = TypeVar("V")
J = TypeVar("J")


@dataclass(frozen=True)
class Ended(Generic[V, J]):
    """How the element of one value ended."""

    value: V
    job: J
    view: JobView

    @property
    def id(self) -> int:
        """The id of the element."""
        return self.view.id

    @property
    def outcome(self) -> str | None:
        """How it ended: COMPLETED, FAILED, CANCELLED, TIMEOUT, OUT_OF_MEMORY, LOST."""
        return self.view.outcome

    @property
    def exit_code(self) -> int | None:
        """The exit code of its command; None if it has none."""
        return self.view.exit_code

    @property
    def ok(self) -> bool:
        """Whether it completed."""
        return self.view.outcome == COMPLETED


class MapResult(Ended[V, Job]):
    """How the element of one value ended."""

    def output(self, most_bytes: int = MOST_OUTPUT) -> str:
        """Return the start of its standard output, ``most_bytes`` at most."""
        return self.job.output(most_bytes)

    def check(self) -> None:
        """Raise ``JobFailed`` unless it completed."""
        if not self.ok:
            self.job.result()


class MapResults(Generic[V]):
    """The elements of a map. Iterating yields their results in the order of the values.

    A failed element is a result too: ``MapResult.check`` raises. Raises ``LauncherError``.
    """

    def __init__(self, client: Client, values: Sequence[V], views: Sequence[JobView]) -> None:
        self.job = None if not views else Job(client, array_id(views), [one.id for one in views])
        """The array; None for a map of no values."""
        self.jobs = [] if self.job is None else self.job.elements()
        self._client = client
        self._values = {view.id: value for view, value in zip(views, values, strict=True)}
        self._views: dict[int, JobView] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[MapResult[V]]:
        arriving = self._arriving(None)
        for job_id in self._values:
            while job_id not in self._views:
                next(arriving)
            yield self._result(job_id)

    def as_completed(self, timeout: float | None = None) -> Iterator[MapResult[V]]:
        """Yield each result as soon as its element has ended.

        Raises ``TimeoutError`` if some have not ended after ``timeout`` seconds.
        """
        for job_id in list(self._views):
            yield self._result(job_id)
        for view in self._arriving(timeout):
            yield self._result(view.id)

    def cancel(self) -> None:
        """End the elements that have not ended."""
        if self.job is not None:
            self.job.cancel()

    def _arriving(self, timeout: float | None) -> Iterator[JobView]:
        left = [job_id for job_id in self._values if job_id not in self._views]
        for view in ended(self._client, left, timeout):
            self._views[view.id] = view
            yield view

    def _result(self, job_id: int) -> MapResult[V]:
        return MapResult(self._values[job_id], Job(self._client, job_id), self._views[job_id])


def array_id(views: Sequence[JobView]) -> int:
    """Return the array of which these are elements."""
    array: dict[str, Any] = views[0].array or {}
    return int(array["id"])
