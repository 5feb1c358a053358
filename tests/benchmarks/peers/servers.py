"""The servers that a queue needs: started here, watched, and ended by their pid."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 10.0
POLL_S = 0.02


class Servers:
    """Processes in the foreground, each with a log of its own in ``place``."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start one more; its name is its program's."""
        name = Path(command[0]).name
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if env is None else dict(env),
                cwd=self.place,
                start_new_session=True,
            )

    def until(self, ready: Callable[[], bool], what: str) -> None:
        """Return when ``ready``; TimeoutError after ``START_SECONDS``."""
        end = time.monotonic() + START_SECONDS
        while not ready():
            self.check()
            if time.monotonic() > end:
                raise TimeoutError(f"not within {START_SECONDS:.0f} s: {what}")
            time.sleep(POLL_S)

    def check(self) -> None:
        """RuntimeError with the end of its log where a server has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                tail = self._log(name).read_text(errors="replace")[-300:].strip()
                raise RuntimeError(f"{name} ended with {process.returncode}: {tail}")

    def stop(self) -> None:
        """End all, the last one first: SIGTERM, then after a while SIGKILL."""
        for process in reversed(self._running.values()):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)
        self._running.clear()

    def _log(self, name: str) -> Path:
        return self.place / f"{name}.log"


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without what would lead a queue elsewhere."""
    off = ("DOCKER_", "LAUNCHER_", "SLURM_", "SBATCH_", "HQ_", "GFLOW_", "TS_", "TMUX", "XDG_")
    return {k: v for k, v in os.environ.items() if not k.startswith(off)} | more
