"""Which containers may have been started: a file each, made right before, for a daemon that dies.

Docker tells as long as it has the container. Where somebody removed it before the start was on
record, or dockerd died before it had written the start down, only this tells that the job may have
run, and must not run again by itself (I14).
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from launcher.daemon.logs import about_container

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mark:
    """Which life of dockerd was asked to start which container, "" where that is not known."""

    dockerd: str = ""
    container_id: str = ""


class Marks:
    """Marks by container name; safe in any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def set(self, name: str, mark: Mark) -> None:
        """Note that a container is about to be started."""
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            (self._directory / name).write_text(f"{mark.dockerd}\n{mark.container_id}")
        except OSError as error:
            about_container(log, name).warning("the start of %s is not marked: %s", name, error)

    def asked(self, name: str) -> Mark | None:
        """Return what is known of a start that Docker was asked for, None where it was not."""
        try:
            dockerd, _, container_id = (self._directory / name).read_text().partition("\n")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            return Mark()
        return Mark(dockerd, container_id)

    def clear(self, name: str) -> None:
        """Forget a container: what became of it is on record, and it is gone."""
        with contextlib.suppress(OSError):
            (self._directory / name).unlink(missing_ok=True)
