"""Whether a job that ended runs again, and when.

A retry is requested by the user and has a budget. Interruptions by the launcher itself (preemption,
a requeue) use up none. A container that may have run is rerun only if its retry conditions allow it
(I14): LOST needs ``infra``.
"""

from __future__ import annotations

from collections.abc import Iterable

from launcher.core.model.job import Job, Outcome
from launcher.spec.job_spec import Retries

WORDS = {
    "infra": Outcome.LOST,
    "oom": Outcome.OUT_OF_MEMORY,
    "timeout": Outcome.TIMEOUT,
}
ANY = (Outcome.FAILED, Outcome.OUT_OF_MEMORY, Outcome.TIMEOUT)


def matches(on: Iterable[str], outcome: Outcome, exit_code: int | None) -> bool:
    """Whether one of the retry conditions matches this end.

    >>> matches(("exit:1-3",), Outcome.FAILED, 2), matches(("any",), Outcome.LOST, None)
    (True, False)
    """
    return any(_matches(word, outcome, exit_code) for word in on)


def _matches(word: str, outcome: Outcome, exit_code: int | None) -> bool:
    if word in WORDS:
        return outcome is WORDS[word]
    if word == "any":
        return outcome in ANY
    first, _, last = word.removeprefix("exit:").partition("-")
    failed = outcome in (Outcome.FAILED, Outcome.OUT_OF_MEMORY)
    return failed and exit_code is not None and int(first) <= exit_code <= int(last or first)


def delay(retries: Retries, used: int) -> float:
    """Return how many seconds a job waits before its retry number ``used``, from 1."""
    return float(min(retries.backoff * 2.0 ** min(used - 1, 64), retries.max_backoff))


def again(job: Job, outcome: Outcome, exit_code: int | None) -> str | None:
    """Return why an ended job is queued again, None if this is its final end.

    A retry is taken from the job's budget.
    """
    if job.cancelled_by is not None:
        return None
    if job.again is not None:
        return job.again
    retries = job.retries
    if retries is None or job.retried >= retries.max:
        return None
    if not matches(retries.on, outcome, exit_code):
        return None
    job.retried += 1
    code = "" if exit_code is None else f" (exit {exit_code})"
    return f"{outcome.value}{code}: retry {job.retried} of {retries.max}"
