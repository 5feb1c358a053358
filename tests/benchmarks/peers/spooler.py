"""task-spooler: no slot that a job could ask for, so a queue of its own for each slice."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.peers.peer import Bench, Peer, output, version_of
from tests.benchmarks.peers.servers import environment
from tests.benchmarks.peers.trace import JOBS, SLOTS


class Spooler(Peer):
    """Four servers with one slot each; the jobs are dealt out round robin."""

    name = "task-spooler"
    cannot = (
        "tells a job no slot and knows no GPU: one queue for each slice, and the jobs dealt out "
        "beforehand, so that a slice can stand idle while another has jobs waiting; "
        "one call for each job"
    )

    @classmethod
    def version(cls, bench: Bench) -> str:
        """Debian calls the program ``tsp``."""
        return version_of(["tsp", "-V"], "Task Spooler", "task-spooler")

    def start(self) -> None:
        """Any first call starts a server."""
        for slot in range(SLOTS):
            output(["tsp", "-S", "1"], self._environment(slot))

    def submit(self) -> None:
        """Queue one job after the other, ``-n``: no file for its output."""
        job = self.job()
        for number in range(1, JOBS + 1):
            slot = number % SLOTS
            output(["tsp", "-n", job, str(number), str(slot)], self._environment(slot))

    def stop(self) -> None:
        """End the four servers."""
        for slot in range(SLOTS):
            if self._socket(slot).exists():
                output(["tsp", "-K"], self._environment(slot))

    def _environment(self, slot: int) -> dict[str, str]:
        return environment(TS_SOCKET=str(self._socket(slot)), TMPDIR=str(self.run.place))

    def _socket(self, slot: int) -> Path:
        return self.run.place / f"{slot}.sock"
