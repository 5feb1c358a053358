"""What is wrong now, each thing once, for ``status``: written by observers, read by requests."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


class Health:
    """Problems by topic; a topic with None is well."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}
        self.processes_hidden = False
        self.docker_version: str | None = None
        self.driver_version: str | None = None
        self.fake_gpu = False

    def set(self, topic: str, problem: str | None) -> None:
        """Note a problem of a topic, or that it is gone; the log has each once."""
        before = self._problems.pop(topic, None)
        if problem is not None:
            self._problems[topic] = problem
            if problem != before:
                log.warning("%s: %s", topic, problem)
        elif before is not None:
            log.warning("%s: well again", topic)

    def problems(self) -> list[str]:
        """Return every present problem."""
        return list(self._problems.values())
