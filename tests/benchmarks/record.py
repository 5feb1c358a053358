"""Docker's own record of starts and ends, the same for ours and theirs."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping

from launcher.engine.connection import DockerConnection


class Record:
    """Listens to Docker's events from its making on."""

    def __init__(self, docker_host: str) -> None:
        self._stream = (
            DockerConnection(docker_host)
            .api()
            .events(decode=True, filters={"type": "container", "event": ["start", "die"]})
        )
        self._times: dict[tuple[str, str], float] = {}
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        for event in self._stream:
            self._times[event["id"], event["Action"]] = event["timeNano"] / 1e9

    def gaps(self, slice_of: Mapping[str, str]) -> list[float]:
        """Return the idle seconds between one container's end and the next start on its slice."""
        spans: dict[str, list[tuple[float, float]]] = {}
        for container, uuid in slice_of.items():
            start, die = ((container, word) for word in ("start", "die"))
            if start in self._times and die in self._times:
                spans.setdefault(uuid, []).append((self._times[start], self._times[die]))
        return [
            started - ended
            for slot in spans.values()
            for (_, ended), (started, _) in itertools.pairwise(sorted(slot))
        ]
