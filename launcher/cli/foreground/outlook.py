"""When a waiting job is likely to start: asked once, beside what is followed, and said."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from launcher.cli.output import terminal
from launcher.client import Client
from launcher.errors import LauncherError
from launcher.text.moments import moment, span

if TYPE_CHECKING:
    from launcher.wire import Why

KINDS = {"Resources", "Priority"}
"""What is waited for in the queue; of anything else the time is not known."""
SECONDS = 30.0
"""A forecast that takes longer is of no use."""


class Outlook:
    """Asks for the forecast of one job in a thread, which ends with the process."""

    def __init__(self, client: Client, job: int) -> None:
        self._client, self._job = client, job
        self._asked = False
        self.over = False
        """Set when the job waits no more: then nothing is said."""

    def ask(self) -> None:
        """Ask, if that has not been done."""
        if not self._asked:
            self._asked = True
            threading.Thread(target=self._tell, daemon=True, name="outlook").start()

    def _tell(self) -> None:
        try:
            why = Client(self._client.socket, timeout=SECONDS).queue.why(self._job)
        except LauncherError:
            return
        if (text := sentence(why, datetime.now(UTC))) is not None and not self.over:
            terminal.say(text)


def sentence(why: Why, now: datetime) -> str | None:
    """Return where a job is in the queue and when it is likely to start, None if unknown."""
    parts = [] if why.position is None else [f"is number {why.position} in the queue"]
    start = moment(why.estimated_start)
    if start is not None:
        left = span((start - now).total_seconds())
        parts.append(f"is likely to start in {left}, at {start.astimezone():%H:%M}")
    return f"job {why.job.id} {', '.join(parts)}" if parts else None
