"""Crash journal: facts about containers that Docker cannot report, one file per container.

It serves the next daemon after a crash. A file says that the container may have been started; it is
written right before the start. Docker reports a start while it has the container. If the container
was removed before the start was recorded, or dockerd died before it recorded the start, only the
file shows that the job may have run, and must not be rerun automatically (I14).
A file also says that Docker missed an end. It is written before Docker is made to check, because
the end that Docker then reports may be invented.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from launcher.daemon.loop import clock
from launcher.daemon.loop.logging_setup import about_container
from launcher.engine.dockerd_identity import DockerdIdentity

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartRecord:
    """The dockerd that was asked to start the container, "" if unknown.

    ``missed``: when the container was found without a process while Docker reported it as running,
    in seconds since 1970.
    """

    dockerd: str = ""
    container_id: str = ""
    missed: float | None = None


class StartJournal:
    """Records by container name. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def set(self, name: str, record: StartRecord) -> None:
        """Record that a container is about to be started."""
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            (self._directory / name).write_text(f"{record.dockerd}\n{record.container_id}")
        except OSError as error:
            about_container(log, name).warning("cannot record the start of %s: %s", name, error)

    def record_of(self, name: str) -> StartRecord | None:
        """Return the record of a start that was requested from Docker, None if there is none."""
        try:
            lines = (self._directory / name).read_text().split("\n")
            dockerd, container_id, missed = (*lines, "", "")[:3]
            return StartRecord(dockerd, container_id, float(missed) if missed else None)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return StartRecord()

    def miss(self, name: str, wall: float) -> None:
        """Record that Docker missed the end of a container; only the first time counts."""
        record = self.record_of(name)
        if record is None:
            self.set(name, StartRecord())
        if record is None or record.missed is None:
            try:
                with (self._directory / name).open("a") as file:
                    file.write(f"\n{wall!r}")
            except OSError as error:
                about_container(log, name).warning("cannot record its missed end: %s", error)

    def clear(self, name: str) -> None:
        """Delete a container's record, once its outcome is stored and the container is gone."""
        with contextlib.suppress(OSError):
            (self._directory / name).unlink(missing_ok=True)


def life_of(dockerd: DockerdIdentity | None) -> str:
    """Return the identity of one run of a dockerd, "" if unknown."""
    return "" if dockerd is None else f"{clock.boot_id()} {dockerd.pid} {dockerd.ticks}"
