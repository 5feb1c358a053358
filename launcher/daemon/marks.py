"""Which containers may have been started: a file each, made right before, for a daemon that dies.

Docker tells as long as it has the container. Where somebody removed it before the start was on
record, only this tells that the job may have run, and must not run again by itself (I14).
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from launcher.daemon.logs import about_container

log = logging.getLogger(__name__)


class Marks:
    """Marks by container name; safe in any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def set(self, name: str) -> None:
        """Note that a container is about to be started."""
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            (self._directory / name).touch(mode=0o600)
        except OSError as error:
            about_container(log, name).warning("the start of %s is not marked: %s", name, error)

    def is_set(self, name: str) -> bool:
        """Whether a container may have been started."""
        return (self._directory / name).exists()

    def clear(self, name: str) -> None:
        """Forget a container: what became of it is on record, and it is gone."""
        with contextlib.suppress(OSError):
            (self._directory / name).unlink(missing_ok=True)
