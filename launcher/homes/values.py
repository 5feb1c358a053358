"""What is made, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

JOBS, CACHES, REMOVED = "jobs", "caches", "removed"
HOME, TMP, CACHE = "home", "tmp", "cache"
MOST_FILE = 256 * 1024
"""Of a passwd or group file, in bytes."""
MOST_PARENTS = 64
PART_OF_DISK = 4
"""As in ``core.jobs.disk_use``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeRequest:
    """The directories of one container.

    ``parents`` are directories to create in it, such as ``home/.cache``; ``files`` are texts by
    name (passwd, group). ``cache``: the user's persistent cache is needed too. ``fresh``: an
    earlier directory of the same name is removed first. ``limit`` is in bytes, 0 for a part of the
    file system; it holds where that has project quotas.
    """

    container: str
    uid: int
    gid: int
    parents: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    cache: bool = False
    fresh: bool = True
    limit: int = 0


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Disk space in bytes and the number of files; not ``whole``: there is more than that."""

    bytes: int
    files: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class HomeUse:
    """The use of jobs by container and of caches by uid, and the size of the file system."""

    jobs: Mapping[str, DiskUse]
    caches: Mapping[int, DiskUse]
    size: int
