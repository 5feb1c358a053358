"""Jobs' own directories on disk: HOME and /tmp of each container, and each user's ``~/.cache``.

Everything is below one directory, which only root (or the owner of a per-user daemon) can enter::

    jobs/CONTAINER/home, tmp     the user's; removed with the container
    jobs/CONTAINER/passwd, group the container's /etc/passwd and /etc/group
    caches/UID/cache             the user's; kept from job to job
    removed/NAME                 what is still to be deleted

Only ``~/.cache`` is kept: programs run code from ``~/.local`` and dot files by themselves, so a
hostile image could plant some there for a later job. The mount helper uses this room as root, a
per-user daemon in its own process. Users' directories are changed with their own rights alone.
"""

from launcher.homes.clear import empty, listed, retire_all, users_with_caches
from launcher.homes.make import make
from launcher.homes.measure import measure_all
from launcher.homes.values import DiskUse, HomeRequest, HomeUse

__all__ = [
    "DiskUse",
    "HomeRequest",
    "HomeUse",
    "empty",
    "listed",
    "make",
    "measure_all",
    "retire_all",
    "users_with_caches",
]
