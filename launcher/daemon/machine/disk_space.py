"""Free disk space: submits are refused before the disk is full, so that jobs can still end."""

from __future__ import annotations

import os

from launcher.config.settings import Config
from launcher.errors import ReadOnlyState

MIB = 2**20


def lack_of_space(config: Config) -> str | None:
    """Return why the state directory has no space for more jobs, None if it has."""
    reserve = config.disk_reserve_mib
    if not reserve:
        return None
    try:
        result = os.statvfs(config.state_dir)
    except OSError:
        return None  # the writer's own error is clearer
    free = result.f_bavail * result.f_frsize
    if free >= reserve * MIB:
        return None
    return (
        f"{config.state_dir} has only {free // MIB} MiB free: jobs go on, but submits are "
        f"refused below {reserve} MiB"
    )


def must_have_room(config: Config) -> None:
    """Raise ``ReadOnlyState`` if a submit would take the space that running jobs need."""
    if (why := lack_of_space(config)) is not None:
        fix = "Free some space, or lower disk_reserve_mib in launcher.toml."
        raise ReadOnlyState(why, fix=fix)
