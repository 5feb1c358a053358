"""Notifications in requests: which targets may be asked for, and which want an event."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator

from launcher.config.notify import NotifyTable
from launcher.core.messages.published import EventType, PublishedEvent
from launcher.core.model.job import Outcome
from launcher.errors import UserError
from launcher.spec.job_spec import JobSpec
from launcher.spec.notify import NotifyTarget, check_targets

PATIENCE_SECONDS = 60.0
"""`launch web` counts as away if it has not asked for this time; it asks at least every 30 s."""
_WELL = frozenset({None, Outcome.COMPLETED.value, Outcome.CANCELLED.value})


def check_allowed(table: NotifyTable, targets: Iterable[NotifyTarget]) -> None:
    """Raise ``UserError`` for targets that are not valid, or that ``[notify]`` does not allow."""
    targets = tuple(targets)
    try:
        check_targets(targets)
    except ValueError as error:
        raise UserError(f"notify: {error}") from None
    for target in targets:
        why = table.refusal(target.webhook, target.mail)
        if why is not None:
            raise UserError(f"notify: {why}", fix="Leave the target out, or ask your admin.")


def check_jobs(table: NotifyTable, jobs: Iterable[JobSpec]) -> bool:
    """Check the targets of jobs as ``check_allowed`` does; return whether there are any."""
    chosen = [job.notify for job in jobs if job.notify]
    for targets in chosen:
        check_allowed(table, targets)
    return bool(chosen)


def wanting(event: PublishedEvent, targets: Iterable[NotifyTarget]) -> list[NotifyTarget]:
    """Return the targets that are told of an event."""
    return [target for target in targets if _wants(event, target.on)]


def _wants(event: PublishedEvent, on: tuple[str, ...]) -> bool:
    if event.type is EventType.NOTIFY_TEST:
        return True
    if event.data.get("array") is not None and "elements" not in on:
        return False
    if event.type is EventType.JOB_STARTED:
        return "start" in on
    if event.type is EventType.ARRAY_ENDED:
        return "end" in on or ("failure" in on and not _WELL.issuperset(event.data["ends"]))
    return event.type is EventType.JOB_ENDED and (
        "end" in on or ("failure" in on and event.data["outcome"] not in _WELL)
    )


class NotifyWatch:
    """Knows whether `launch web` fetches notifications. ``now`` is in seconds, from any origin."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._seen = now()  # a new daemon gives `launch web` time to find it
        self._open = 0
        self.wanted: bool | None = None
        """Whether users have targets; None until somebody looks."""

    @contextlib.contextmanager
    def asked(self) -> Iterator[None]:
        """`launch web` asks for notifications, and waits for them."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            self._seen = self._now()

    def problem(self) -> str | None:
        """Return a sentence if there may be notifications that `launch web` does not fetch."""
        away = not self._open and self._now() - self._seen > PATIENCE_SECONDS
        if not self.wanted or not away:
            return None
        return "notifications wait: `launch web`, which sends them, is not running"
