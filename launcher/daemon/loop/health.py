"""Current problems, each listed once, for ``status``: written by observers, read by requests."""

from __future__ import annotations

import logging
from collections.abc import Sequence

log = logging.getLogger(__name__)


class Health:
    """Problems by topic; None means that the topic is well."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}
        self._logged: dict[str, object] = {}
        self.processes_hidden = False
        self.docker_version: str | None = None
        self.driver_version: str | None = None
        self.fake_gpu = False
        self.gpu_fix: str | None = None
        self._unrefreshed: tuple[int, str] | None = None

    def set(self, topic: str, problem: str | None, *, key: object = None) -> None:
        """Record a topic's problem, or None once it is resolved; each is logged once.

        A text with an amount that changes needs a ``key``: the problem is the same while it is.
        """
        self._problems.pop(topic, None)
        before = self._logged.pop(topic, None)
        if problem is not None:
            self._problems[topic] = problem
            self._logged[topic] = problem if key is None else key
            if self._logged[topic] != before:
                log.warning("%s: %s", topic, problem)
        elif before is not None:
            log.warning("%s: resolved", topic)

    def refreshed(self, op: int, problems: Sequence[str]) -> None:
        """Record which device nodes and CDI entries do not match a new layout."""
        text = "; ".join(problems) or None
        self._unrefreshed = (op, text) if text is not None else None
        self.set("refresh", text and f"after layout change {op}: {text}")

    def unrefreshed(self, op: int) -> str | None:
        """Return what does not match a new layout, None if all does, or a later change was made."""
        noted = self._unrefreshed
        return noted[1] if noted is not None and noted[0] == op else None

    def problems(self) -> list[str]:
        """Return all current problems."""
        return list(self._problems.values())
