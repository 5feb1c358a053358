"""Freezes a container's processes, in a control group of version 1 or 2.

The daemon uses the helper if its own unit may not write control groups.
"""

from __future__ import annotations

import re
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
_CONTAINER = re.compile(r"(docker-)?[0-9a-f]{64}(\.scope)?")
"""The name of a container's control group, of either driver."""


def set_frozen(folder: Path, frozen: bool) -> None:
    """Freeze or thaw all processes of a control group; raises ``OSError``."""
    if (folder / "cgroup.freeze").exists():
        (folder / "cgroup.freeze").write_text("1" if frozen else "0")
    else:
        (folder / "freezer.state").write_text("FROZEN" if frozen else "THAWED")


def of_container(folder: str) -> Path:
    """Return a container's control group; raises ``ValueError`` for another path."""
    place = Path(folder)
    is_plain = place.is_relative_to(CGROUPS) and ".." not in place.parts
    if not is_plain or _CONTAINER.fullmatch(place.name) is None:
        raise ValueError(f"{folder[:200]!r} is not the control group of a container")
    return place
