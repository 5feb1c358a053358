"""Ours: ``launch submit`` of a job file with all jobs, on a fake A30 with four slices."""

from __future__ import annotations

import json

from launcher import __version__
from launcher.fakegpu import Machine
from tests.benchmarks.peers.peer import Bench, Mode, Peer, Run
from tests.benchmarks.peers.trace import JOBS, SLOTS
from tests.support.daemon import DaemonProcess

BOARD = f"A30:1g.6gb*{SLOTS}"


class Ours(Peer):
    """A daemon with the settings that users get."""

    name = "launcher"
    modes = (Mode.LAUNCHER,)
    cannot = "starts containers only, so there is no line for a bare process"
    _daemon: DaemonProcess | None = None

    def __init__(self, bench: Bench, run: Run) -> None:
        super().__init__(bench, run)
        self.machine = Machine.open(run.place.parent / "machine")

    @classmethod
    def version(cls, bench: Bench) -> str:
        """The one of this tree."""
        return __version__

    def start(self) -> None:
        """Start the daemon."""
        state = self.run.place / "state"
        self._daemon = DaemonProcess(self.bench.docker_host, self.machine, state, config="")
        self._daemon.start()

    def submit(self) -> None:
        """The command as a user types it; JSON is YAML."""
        assert self._daemon is not None
        job = {
            "image": self.bench.image,
            "gpus": "1g.6gb",
            "volumes": [
                f"{self.bench.payload}:{self.bench.payload}:ro",
                f"{self.run.records}:{self.run.records}",
            ],
        }
        jobs = {
            f"job-{number}": job | {"command": self.run.payload(self.bench, str(number))}
            for number in range(1, JOBS + 1)
        }
        path = self.run.place / "trace.yaml"
        path.write_text(json.dumps({"jobs": jobs}))
        done = self._daemon.cli("submit", str(path))
        if done.returncode != 0:
            raise RuntimeError(f"launch submit failed: {done.stderr[-300:]}")

    def check(self) -> None:
        """The daemon has ended, or a job has failed."""
        assert self._daemon is not None
        process = self._daemon.process
        if process is None or process.poll() is not None:
            raise RuntimeError(f"the daemon ended: {self._daemon.tail()[-300:]}")

    def stop(self) -> None:
        """End the daemon in order."""
        if self._daemon is not None:
            self._daemon.stop()
            self._daemon.close()
        self.machine.close()
