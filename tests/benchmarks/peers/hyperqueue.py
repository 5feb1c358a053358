"""HyperQueue, through its Python API: the wheel has no ``hq`` program."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.benchmarks.peers.peer import Bench, Peer, Run, version_of
from tests.benchmarks.peers.servers import START_SECONDS, STOP_SECONDS, environment
from tests.benchmarks.peers.trace import JOBS, SLOTS

CLUSTER = Path(__file__).with_name("hq_cluster.py")


class HyperQueue(Peer):
    """Server and worker of its ``LocalCluster``; the slot is the one core that a task is given."""

    name = "HyperQueue"
    slot = "$HQ_CPUS"
    cannot = (
        "the wheel has its server, worker and Python API, not the `hq` program; that API offers a "
        "worker cores and no GPUs, so the core number is mapped to a slice; its submit is a call "
        "inside the server's process, which saves the start of a command"
    )

    def __init__(self, bench: Bench, run: Run) -> None:
        super().__init__(bench, run)
        self._process: subprocess.Popen[str] | None = None

    @classmethod
    def version(cls, bench: Bench) -> str:
        """The version of the library that does the work."""
        command: list[str | Path] = [bench.programs / "python", "-P", CLUSTER, "--version"]
        return version_of(command, "", "hyperqueue")

    def start(self) -> None:
        """Start the cluster; it says when its worker is there."""
        place = self.run.place
        command = ["-P", str(CLUSTER), str(place / "server"), str(SLOTS)]
        with (place / "cluster.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(self.bench.programs / "python"), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=place,
                env=environment(HOME=str(place), TMPDIR=str(place)),
            )
        self._hear("ready")

    def submit(self) -> None:
        """One job of 40 tasks."""
        assert self._process is not None
        assert self._process.stdin is not None
        print(self.job(), JOBS, file=self._process.stdin, flush=True)
        self._hear("submitted")

    def check(self) -> None:
        """The cluster has ended."""
        if self._process is not None and self._process.poll() is not None:
            text = (self.run.place / "cluster.log").read_text(errors="replace")
            raise RuntimeError(f"the cluster ended with {self._process.returncode}: {text[-300:]}")

    def stop(self) -> None:
        """Its standard input ends, and so does it."""
        if self._process is None:
            return
        try:
            self._process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate(timeout=STOP_SECONDS)

    def _hear(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == word:
                return
        self._process.wait(START_SECONDS)
        self.check()
