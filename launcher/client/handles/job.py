"""A job as an object: ``Client.run`` and ``Client.job`` return one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from launcher import wire
from launcher.client.handles.outcomes import (
    COMPLETED,
    LAST_LINES,
    array_of,
    decisive,
    failure,
    not_ended,
)
from launcher.client.handles.text_lines import Source, TextHead, TextLines
from launcher.client.handles.waiting import ended, listed
from launcher.errors import LauncherError, UserError

if TYPE_CHECKING:
    from launcher.client.api import Client

MOST_OUTPUT = 16 * 1024 * 1024
"""In bytes: what ``output`` returns at most unless told otherwise."""


class Job:
    """One job, or a whole array, of a client. Every method raises ``LauncherError``.

    A ``with`` block waits at its end until the job has ended, as that of ``subprocess.Popen`` does;
    if an exception leaves the block, the job is cancelled.
    """

    def __init__(self, client: Client, job_id: int, elements: Sequence[int] | None = None) -> None:
        self.client = client
        self.id = job_id
        self._elements = elements
        """The ids of an array's elements, by index; None for a single job."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id})"

    def view(self) -> wire.JobView:
        """Return the job as it is now.

        Of an array, the element that decides: the first that runs, or else the first that waits,
        the first that failed, the last one.
        """
        if self._elements is None:
            return self.client.show(self.id).job
        return decisive(listed(self.client, self._elements))

    @property
    def state(self) -> str:
        """The state now, such as RUNNING, or the outcome of a job that has ended."""
        return self.view().word

    def wait(self, timeout: float | None = None) -> wire.JobView:
        """Return the job when it has its outcome; after ``timeout`` seconds, as it is then.

        A job that failed raises nothing. An array has ended when all of its elements have. Waits
        while the daemon restarts.
        """
        if self._elements is None:
            return self.client.wait(self.id, timeout)
        with contextlib.suppress(TimeoutError):
            for _ in ended(self.client, self._elements, timeout):
                pass
        return self.view()

    def result(self, timeout: float | None = None) -> wire.JobView:
        """Return the job when it has completed; raise ``JobFailed`` if it ended otherwise.

        Raises ``TimeoutError`` if it has not ended after ``timeout`` seconds.
        """
        view = self.wait(timeout)
        if view.outcome is None:
            raise not_ended(view, timeout)
        if view.outcome != COMPLETED:
            raise failure(view, self._last_lines(view.id))
        return view

    def logs(
        self,
        *,
        follow: bool = False,
        tail: int | None = None,
        attempt: int | None = None,
        source: Source = "both",
    ) -> Iterator[str]:
        """Yield the lines of the job's output; with ``follow`` until it ends.

        Without their line ends; bytes that are not UTF-8 become U+FFFD, and a line longer than
        65,536 characters comes in pieces. Notes of the launcher go to the client's ``notice``.
        """
        lines = TextLines(source)
        for frame in self.frames(follow=follow, tail=tail, attempt=attempt):
            if frame.stream == wire.NOTE:
                self.client.notice(frame.data.decode("utf-8", "replace"))
            yield from lines.whole(frame)
        yield from lines.rest()

    def frames(
        self, *, follow: bool = False, tail: int | None = None, attempt: int | None = None
    ) -> Iterator[wire.Frame]:
        """Yield the job's output as it came, in bytes with stream and time."""
        return self.client.logs(self.id, follow=follow, tail=tail, attempt=attempt)

    def output(self, most_bytes: int = MOST_OUTPUT) -> str:
        """Return the start of the standard output, ``most_bytes`` at most; ``logs`` yields all."""
        head = TextHead(most_bytes)
        for frame in self.frames():
            if not head.add(frame):
                break
        return head.text()

    def cancel(self, *, now: bool = False) -> list[wire.JobView]:
        """End the job; ``now``: without its grace period. One that has ended stays as it is."""
        return self.client.cancel(self.id, now=now)

    def hold(self) -> list[wire.JobView]:
        """Keep the job from starting."""
        return self.client.hold(self.id)

    def release(self) -> list[wire.JobView]:
        """Release the job if it is held."""
        return self.client.release(self.id)

    def why(self) -> wire.Why:
        """Return why the job waits, and when it may start; of an array, ask an element."""
        return self.client.queue.why(self.id)

    def elements(self) -> list[Job]:
        """Return the elements of an array, by index; of a single job, itself."""
        if self._elements is None:
            return [self]
        return [Job(self.client, job_id) for job_id in self._elements]

    def _last_lines(self, job_id: int) -> list[str]:
        try:
            return list(Job(self.client, job_id).logs(tail=LAST_LINES))
        except LauncherError:  # the log is deleted, or another user's
            return []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.wait()
        else:
            self.cancel()


def job_of(client: Client, views: Sequence[wire.JobView], ref: str) -> Job:
    """Return the job or array that a reference to these jobs means; raises ``UserError``."""
    array = array_of(views, ref)
    if array is not None:
        return Job(client, array, [view.id for view in views])
    if len(views) > 1:
        raise UserError(f"{ref} means {len(views)} jobs", fix="Name one of them, or an array.")
    return Job(client, views[0].id)
