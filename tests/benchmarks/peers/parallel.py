"""GNU parallel: the slot is ``{%}``."""

from __future__ import annotations

import subprocess

from tests.benchmarks.peers.peer import Bench, Peer, version_of
from tests.benchmarks.peers.servers import STOP_SECONDS, environment
from tests.benchmarks.peers.trace import JOBS, SLOTS


class Parallel(Peer):
    """One process that runs a list with four jobs at a time."""

    name = "GNU parallel"
    slot = "$(($2 - 1))"
    cannot = (
        "no queue: one list of one person, nothing is kept when it ends or is killed; knows no "
        "GPU: {%} is mapped to a slice by hand, and a second list would use the same slices"
    )
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def version(cls, bench: Bench) -> str:
        """Not the ``parallel`` of moreutils."""
        return version_of(["parallel", "--version"], "GNU parallel", "parallel")

    def submit(self) -> None:
        """Start it on the whole list."""
        home = str(self.run.place)
        command = ["parallel", "--will-cite", "--jobs", str(SLOTS), str(self.job()), "{}", "{%}"]
        with (self.run.place / "parallel.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, ":::", *map(str, range(1, JOBS + 1))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(HOME=home, PARALLEL_HOME=home, TMPDIR=home),
            )

    def check(self) -> None:
        """Its end with a failed job is the end of the run."""
        if self._process is not None and self._process.poll():
            text = (self.run.place / "parallel.log").read_text(errors="replace")
            raise RuntimeError(f"parallel ended with {self._process.returncode}: {text[-300:]}")

    def stop(self) -> None:
        """It ends by itself with its list; otherwise end it."""
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
