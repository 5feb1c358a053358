"""The place of a container's secrets: files in memory that only its owner can read.

The mount helper, if any, mounts them. A per-user daemon cannot mount: its secrets are in the
user's runtime directory, which is in memory and private.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

from launcher.config.settings import Config
from launcher.core.model.job import Owner
from launcher.errors import PinsUnavailable, UserError
from launcher.mount_helper import Pins, User
from launcher.procfs import read_lines

log = logging.getLogger(__name__)

IN_MEMORY = ("tmpfs", "ramfs")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class SecretMounts(Protocol):
    """The secrets of a daemon's containers. All methods except ``of`` block."""

    def of(self, container: str) -> str:
        """Return the path for Docker."""

    def fill(
        self, container: str, owner: Owner, files: Mapping[str, bytes], dockerd: int | None
    ) -> None:
        """Replace a container's files; raises ``LauncherError`` if that fails."""

    def clear(self, container: str) -> None:
        """Remove a container's files, if any; pins are removed by ``Pins.release``."""

    def sweep(self, live_containers: Callable[[], Collection[str]], prefix: str) -> None:
        """Remove the files of ended containers whose names start with ``prefix``."""

    def check(self) -> None:
        """Raise ``LauncherError`` if no job can receive secrets at present."""


def places_of(config: Config, pins: Pins, env: Mapping[str, str] = os.environ) -> SecretMounts:
    """Return the daemon's implementation: pinned if it has a helper, which needs root."""
    if config.system or config.pins_socket is not None:
        return Pinned(pins, config.pins_directory)
    runtime = env.get("XDG_RUNTIME_DIR")
    return InRuntime(Path(runtime) if runtime else None)


class Pinned:
    """Mounted by the helper beside the container's pins, and removed with them."""

    def __init__(self, pins: Pins, directory: str) -> None:
        self._pins, self._directory = pins, directory

    def of(self, container: str) -> str:
        """Return where the helper mounts them."""
        return f"{self._directory}/{container}/secrets"

    def fill(
        self, container: str, owner: Owner, files: Mapping[str, bytes], dockerd: int | None
    ) -> None:
        """Have the helper mount the files."""
        self._pins.put_secrets(container, files, User(owner.uid, owner.gid), dockerd)

    def clear(self, container: str) -> None:
        """Do nothing: the pins' removal covers them."""

    def sweep(self, live_containers: Callable[[], Collection[str]], prefix: str) -> None:
        """Do nothing: the pins' sweep covers them."""

    def check(self) -> None:
        """Check the helper."""
        if (trouble := self._pins.ping().trouble) is not None:
            raise PinsUnavailable(f"secrets: cannot be mounted: {trouble}")


class InRuntime:
    """Files in the daemon's runtime directory (XDG_RUNTIME_DIR), None if it has none."""

    def __init__(self, runtime: Path | None) -> None:
        self._runtime = runtime
        self._directory = (runtime or Path("/nowhere")) / "launcher-secrets"

    def of(self, container: str) -> str:
        """Return the container's directory there."""
        return str(self._directory / container)

    def fill(
        self, container: str, owner: Owner, files: Mapping[str, bytes], dockerd: int | None
    ) -> None:
        """Write the files; the daemon's user owns all its jobs."""
        self.check()
        place = Path(self.of(container))
        try:
            self.clear(container)
            self._directory.mkdir(mode=0o700, exist_ok=True)
            place.mkdir(mode=0o700)
            for name, content in files.items():
                with os.fdopen(os.open(place / name, _NEW, 0o400), "wb") as file:
                    file.write(content)
            place.chmod(0o500)
        except OSError as error:
            raise PinsUnavailable(f"secrets: cannot write to {place}: {error.strerror}") from None

    def clear(self, container: str) -> None:
        """Remove the container's directory."""
        place = Path(self.of(container))
        with contextlib.suppress(OSError):
            place.chmod(0o700)
            shutil.rmtree(place)

    def sweep(self, live_containers: Callable[[], Collection[str]], prefix: str) -> None:
        """Remove the directories of other containers."""
        folders = list(self._directory.glob(f"{prefix}*"))
        # Called after the listing, so that a job that starts meanwhile is safe.
        names = live_containers() if folders else ()
        for place in folders:
            if place.name not in names:
                log.info("removed the secrets of %s", place.name)
                self.clear(place.name)

    def check(self) -> None:
        """Raise ``UserError`` if the directory is missing, or on a disk."""
        runtime = self._runtime
        if runtime is None or not runtime.is_dir():
            problem = "XDG_RUNTIME_DIR names no directory"
        elif (kind := _kind(runtime)) not in IN_MEMORY:
            problem = f"{runtime} (XDG_RUNTIME_DIR) is on {kind}, not in memory"
        elif runtime.stat().st_uid != os.getuid():
            problem = f"{runtime} (XDG_RUNTIME_DIR) is another user's"
        else:
            return
        raise UserError(
            f"secrets: this daemon has no place for them: {problem}",
            fix="Log in with a systemd session, or use a system daemon.",
        )


def _kind(place: Path) -> str:
    """Return the file system type of a path: proc_pid_mountinfo(5)."""
    device = place.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in read_lines(Path("/proc/self/mountinfo")):
        ours, _, theirs = line.partition(" - ")
        if ours.split(" ")[2] == number:
            return theirs.split(" ", 1)[0]
    return "an unknown file system"
