"""How jobs ended: which element decides for an array, and the error of a job that failed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from launcher import indices
from launcher.errors import JobFailed
from launcher.wire import JobView
from launcher.wire.states import OUTCOMES

ENDED = ",".join(OUTCOMES)
"""The filter of requests for jobs that have ended."""
COMPLETED = "COMPLETED"
LAST_LINES = 10
"""So much of its output an error shows."""
JOBS_IN_A_LIST = 1000
PAUSE_SECONDS = 0.5
MOST_PAUSE_SECONDS = 20.0
PAUSE_FACTOR = 10
"""So many times as long as a list took is the pause after it: the daemon lists a tenth of the
time."""


def batches(ids: Collection[int]) -> Iterator[list[str]]:
    """Yield references to these jobs, for one request each; a job that is gone is not an error.

    >>> list(batches([7, 3, 4]))
    [['3-4', '7-7']]
    """
    ordered = sorted(ids)
    for first in range(0, len(ordered), JOBS_IN_A_LIST):
        runs = indices.runs(ordered[first : first + JOBS_IN_A_LIST])
        yield [f"{start}-{end}" for start, end in runs]


def pause_after(list_seconds: float, waiting: int) -> float:
    """Return how long to wait, in seconds, before the jobs that are waited for are listed again."""
    if waiting == 1:  # its own end interrupts the pause
        return MOST_PAUSE_SECONDS
    return min(MOST_PAUSE_SECONDS, max(PAUSE_SECONDS, PAUSE_FACTOR * list_seconds))


def decisive(views: Sequence[JobView]) -> JobView:
    """Return the element that decides for an array.

    The first that runs; or else the first that waits, the first that failed, the last one.
    """
    live = [view for view in views if view.outcome is None]
    running = [view for view in live if view.state != "PENDING"]
    failed = [view for view in views if view.outcome not in (None, COMPLETED)]
    return (running or live or failed or [views[-1]])[0]


def array_of(views: Sequence[JobView], ref: str) -> int | None:
    """Return the id of the array that a reference to these jobs means, None for a single job."""
    array = views[0].array
    by_id = ref.replace("-", "").isdecimal()  # an id, or a range of ids
    if array is None or "[" in ref or (by_id and ref != str(array["id"])):
        return None
    return int(array["id"])


def failure(view: JobView, last_lines: Sequence[str]) -> JobFailed:
    """Return the error of a job that did not complete."""
    code = "" if view.exit_code is None else f" with exit code {view.exit_code}"
    why = f": {view.message}" if view.message else ""
    output = "".join(f"\n    {line}" for line in last_lines)
    end = f"; its output ends with:{output}" if output else ""
    error = JobFailed(f"job {view.ref} is {view.word}{code}{why}{end}")
    error.job_id, error.outcome, error.job_exit_code = view.id, view.word, view.exit_code
    error.exit_code = error.exit_code if view.exit_code is None else view.exit_code
    error.last_lines = tuple(last_lines)
    return error


def not_ended(view: JobView, timeout: float | None) -> TimeoutError:
    """Return the error of a job that has not ended within ``timeout`` seconds."""
    return TimeoutError(f"job {view.ref} is still {view.word} after {timeout} s")
