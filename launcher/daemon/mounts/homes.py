"""Where the daemon has jobs' own directories made: by the mount helper, or itself.

All methods block, and raise ``LauncherError``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

from launcher import homes
from launcher.config.settings import Config
from launcher.errors import PinsUnavailable
from launcher.homes import HomeRequest, HomeUse
from launcher.mount_helper import Pins

EMPTYING_SECONDS, MEASURING_SECONDS = 2.0, 10.0


class Homes(Protocol):
    """The directories of all jobs of a daemon, below ``directory``."""

    directory: str

    def make(self, request: HomeRequest) -> None:
        """Make the directories of one container."""

    def of_containers(self, prefix: str) -> list[str]:
        """Return the containers that have directories and whose names start with ``prefix``."""

    def users_with_caches(self) -> list[int]:
        """Return the uids that have a cache."""

    def retire(self, containers: Collection[str] = (), uids: Collection[int] = ()) -> None:
        """Take containers' directories and users' caches out of use."""

    def empty(self) -> bool:
        """Delete what is out of use, for a bounded time; returns whether something is left."""

    def measure(self, containers: Collection[str], uids: Collection[int]) -> HomeUse:
        """Return the disk space of containers' directories and users' caches."""


def homes_of(config: Config, pins: Pins) -> Homes:
    """Return the daemon's implementation: by the helper if it has one, which needs root."""
    if config.system or config.pins_socket is not None:
        return HelpersHomes(pins, config.homes)
    return OwnHomes(config.homes)


class HelpersHomes:
    """Made by the mount helper, as root."""

    def __init__(self, pins: Pins, directory: str) -> None:
        self._pins, self.directory = pins, directory

    def make(self, request: HomeRequest) -> None:
        """Have the helper make them."""
        self._pins.make_home(self.directory, request)

    def of_containers(self, prefix: str) -> list[str]:
        """Have the helper list them."""
        return self._pins.homes(self.directory, prefix)

    def users_with_caches(self) -> list[int]:
        """Have the helper list them."""
        return self._pins.users_with_caches(self.directory)

    def retire(self, containers: Collection[str] = (), uids: Collection[int] = ()) -> None:
        """Have the helper rename them."""
        self._pins.retire_homes(self.directory, containers, uids)

    def empty(self) -> bool:
        """Have the helper delete them."""
        return self._pins.empty_homes(self.directory)

    def measure(self, containers: Collection[str], uids: Collection[int]) -> HomeUse:
        """Have the helper measure them."""
        return self._pins.measure_homes(self.directory, containers, uids)


class OwnHomes:
    """Made by a per-user daemon: all its jobs belong to its user."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def make(self, request: HomeRequest) -> None:
        """Make them."""
        with self._root() as root:
            homes.make(root, request)

    def of_containers(self, prefix: str) -> list[str]:
        """List them."""
        with self._root() as root:
            return homes.listed(root, prefix)

    def users_with_caches(self) -> list[int]:
        """List them."""
        with self._root() as root:
            return homes.users_with_caches(root)

    def retire(self, containers: Collection[str] = (), uids: Collection[int] = ()) -> None:
        """Rename them."""
        with self._root() as root:
            homes.retire_all(root, containers, uids)

    def empty(self) -> bool:
        """Delete them."""
        with self._root() as root:
            return not homes.empty(root, EMPTYING_SECONDS)

    def measure(self, containers: Collection[str], uids: Collection[int]) -> HomeUse:
        """Measure them."""
        with self._root() as root:
            return homes.measure_all(root, containers, uids, MEASURING_SECONDS)

    @contextlib.contextmanager
    def _root(self) -> Iterator[int]:
        try:
            Path(self.directory).mkdir(mode=0o700, parents=True, exist_ok=True)
            root = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield root
            finally:
                os.close(root)
        except OSError as error:
            raise PinsUnavailable(f"{self.directory}: {error.strerror}") from error
