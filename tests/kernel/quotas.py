"""Runs in the booted machine, as its root: a job's directories on XFS and on ext4 with quotas.

Without pytest: the machine has Python alone. Ends with the line ``QUOTAS HOLD``.
"""

from __future__ import annotations

import errno
import os
import sys

from launcher import homes
from launcher.homes import HomeRequest

UID = GID = 1000
MIB = 2**20


def fill(directory: str) -> tuple[int, int]:
    """Return (MiB that the user could write there, errno that stopped it); at most 100."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        # The parents of the directory are root's: it is opened before root's rights are dropped.
        place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        os.setgroups([])
        os.setgid(GID)
        os.setuid(UID)
        written, stopped = 0, 0
        try:
            file = os.open("x", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=place)
            for _ in range(100):
                os.write(file, bytes(MIB))
                os.fsync(file)
                written += 1
        except OSError as error:
            stopped = error.errno or -1
        os.write(writing, f"{written} {stopped}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    written, stopped = map(int, os.read(reading, 64).split())
    return written, stopped


def check(file_system: str) -> None:
    """Check one mounted file system."""
    place = f"{file_system}/homes"
    os.mkdir(place, 0o700)  # noqa: PTH102
    root = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    first, second = (
        HomeRequest(container=f"launch-a-{n}-1", uid=UID, gid=GID, cache=True, limit=limit * MIB)
        for n, limit in ((1, 20), (2, 40))
    )
    homes.make(root, first)
    homes.make(root, second)
    full = (errno.ENOSPC, errno.EDQUOT)
    written, stopped = fill(f"{place}/jobs/{first.container}/tmp")
    assert written in (19, 20), (file_system, written)
    assert stopped in full, (file_system, stopped)
    assert fill(f"{place}/jobs/{first.container}/home") == (0, stopped), "one limit for both"
    assert fill(f"{place}/jobs/{second.container}/home")[0] in (39, 40), "of each job"
    assert fill(f"{place}/caches/{UID}/cache") == (100, 0), "the cache is another's limit"
    homes.retire_all(root, [first.container], [])
    assert homes.empty(root, 30.0)
    print(f"{file_system}: a job of 20 MiB stopped at {written}, errno {stopped}")


for each in sys.argv[1:]:
    check(each)
print("QUOTAS HOLD")
