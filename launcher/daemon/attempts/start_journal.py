"""What is known of containers and not to be read from Docker: a file each, for a daemon that dies.

That one may have been started, made right before. Docker tells as long as it has the container;
where somebody removed it before the start was on record, or dockerd died before it had written the
start down, only this tells that the job may have run, and must not run again by itself (I14).
And that Docker has missed its end, noted before Docker is made to look: what it tells of it then
may be made up.
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
    """Which life of dockerd was asked to start which container, "" where that is not known.

    ``missed``: when it was seen without a process while Docker said that it runs, in seconds since
    1970.
    """

    dockerd: str = ""
    container_id: str = ""
    missed: float | None = None


class StartJournal:
    """Marks by container name; safe in any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def set(self, name: str, mark: StartRecord) -> None:
        """Note that a container is about to be started."""
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            (self._directory / name).write_text(f"{mark.dockerd}\n{mark.container_id}")
        except OSError as error:
            about_container(log, name).warning("the start of %s is not marked: %s", name, error)

    def asked(self, name: str) -> StartRecord | None:
        """Return what is known of a start that Docker was asked for, None where it was not."""
        try:
            lines = (self._directory / name).read_text().split("\n")
            dockerd, container_id, missed = (*lines, "", "")[:3]
            return StartRecord(dockerd, container_id, float(missed) if missed else None)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return StartRecord()

    def miss(self, name: str, wall: float) -> None:
        """Note that Docker has missed the end of a container; the first time counts."""
        mark = self.asked(name)
        if mark is None:
            self.set(name, StartRecord())
        if mark is None or mark.missed is None:
            try:
                with (self._directory / name).open("a") as file:
                    file.write(f"\n{wall!r}")
            except OSError as error:
                about_container(log, name).warning("its missed end is not marked: %s", error)

    def clear(self, name: str) -> None:
        """Forget a container: what became of it is on record, and it is gone."""
        with contextlib.suppress(OSError):
            (self._directory / name).unlink(missing_ok=True)


def life_of(dockerd: DockerdIdentity | None) -> str:
    """Return what tells one life of dockerd from all others, "" where none is known."""
    return "" if dockerd is None else f"{clock.boot_id()} {dockerd.pid} {dockerd.ticks}"
