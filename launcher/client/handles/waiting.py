"""Waits for many jobs with one request at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from launcher import errors
from launcher.client.following import Patience
from launcher.client.handles.outcomes import ENDED, batches, pause_after
from launcher.client.http import must_be_short
from launcher.wire import JobView

if TYPE_CHECKING:
    from launcher.client.api import Client


def ended(client: Client, ids: Sequence[int], timeout: float | None = None) -> Iterator[JobView]:
    """Yield jobs as they end; raise ``TimeoutError`` if some have not after ``timeout`` seconds.

    Lists which have ended; in the pauses it waits for the first that has not. Waits while the
    daemon restarts. Raises ``LauncherError``.
    """
    until = math.inf if timeout is None else time.monotonic() + timeout
    pending = dict.fromkeys(ids)
    while pending:
        began = time.monotonic()
        for refs in batches(pending):
            for view in _ended_of(client, refs):
                if pending.pop(view.id, view) is None:
                    yield view
        if not pending:
            return
        pause = pause_after(time.monotonic() - began, len(pending))
        view = client.wait(min(pending), max(0.0, min(pause, until - time.monotonic())))
        if view.outcome is not None:
            del pending[view.id]
            yield view
        elif time.monotonic() >= until:
            raise TimeoutError(f"{len(pending)} jobs have not ended after {timeout} s")


def listed(client: Client, ids: Sequence[int]) -> list[JobView]:
    """Return these jobs as they are, in this order."""
    views = {view.id: view for refs in batches(ids) for view in client.jobs(refs)}
    return [views[job_id] for job_id in ids if job_id in views]


def _ended_of(client: Client, refs: list[str]) -> list[JobView]:
    """Return those of these jobs that have ended, also while the daemon restarts."""
    patience = Patience(client)
    while True:
        try:
            return client.jobs(refs, state=ENDED)
        except errors.NoSuchJob:  # all of them are gone
            return []
        except (errors.DaemonUnreachable, errors.RecoveryMode) as error:
            time.sleep(patience.after(error))
        except errors.TooMany as error:
            must_be_short(error)
