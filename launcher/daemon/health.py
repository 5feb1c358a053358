"""What is wrong now, each thing once, for ``status``: written by observers, read by requests."""

from __future__ import annotations


class Health:
    """Problems by topic; a topic with None is well."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}
        self.processes_hidden = False
        self.docker_version: str | None = None
        self.driver_version: str | None = None

    def set(self, topic: str, problem: str | None) -> None:
        """Note a problem of a topic, or that it is gone."""
        if problem is None:
            self._problems.pop(topic, None)
        else:
            self._problems[topic] = problem

    def problems(self) -> list[str]:
        """Return every present problem."""
        return list(self._problems.values())
