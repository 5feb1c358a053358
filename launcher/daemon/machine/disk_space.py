"""A disk that fills: submits are refused before it is full, so that ends still find room."""

from __future__ import annotations

import os

from launcher.config.settings import Config
from launcher.errors import ReadOnlyState

MIB = 2**20


def lack_of_space(config: Config) -> str | None:
    """Return why the state directory has no room for more jobs, None where it has."""
    reserve = config.disk_reserve_mib
    if not reserve:
        return None
    try:
        result = os.statvfs(config.state_dir)
    except OSError:
        return None  # who writes there says it better
    free = result.f_bavail * result.f_frsize
    if free >= reserve * MIB:
        return None
    return (
        f"{config.state_dir} has only {free // MIB} MiB free: what runs and waits goes on, "
        f"submits are refused below {reserve} MiB"
    )


def must_have_room(config: Config) -> None:
    """Raise ``ReadOnlyState`` where a submit would take the room that running jobs need."""
    if (why := lack_of_space(config)) is not None:
        fix = "Free some space, or lower disk_reserve_mib in launcher.toml."
        raise ReadOnlyState(why, fix=fix)
