"""Holds secrets as files in memory, complete before any process can see them.

The file system is created and filled before it is mounted (fsopen(2), fsmount(2), Linux 5.2), so an
interrupted one disappears with the process. The contents never appear in a name, log or error.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from launcher.homes.acting import acting_as
from launcher.mount_helper import syscalls
from launcher.mount_helper.values import User

SIZE = "2m"
"""16 files of 64 KiB, with the rounding of a kernel with large pages."""
_HARMLESS = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def filled(files: Mapping[str, bytes], user: User) -> Iterator[int]:
    """Yield a detached file system with these files, which only the user can read.

    Raises OSError if the kernel refuses.
    """
    options = {"size": SIZE, "nr_inodes": str(len(files) + 16), "mode": "0700"}
    options |= {"uid": str(user.uid), "gid": str(user.gid)}
    tree = syscalls.new_mount("tmpfs", options, _HARMLESS, wanted=("noswap",))
    try:
        with acting_as(user.uid, user.gid):
            for name, content in files.items():
                _write(tree, name, content)
            os.chmod(".", 0o500, dir_fd=tree)
        syscalls.restrict(tree, _HARMLESS | syscalls.MOUNT_ATTR_RDONLY)
        yield tree
    finally:
        os.close(tree)


def _write(directory: int, name: str, content: bytes) -> None:
    with os.fdopen(os.open(name, _NEW, 0o400, dir_fd=directory), "wb") as file:
        file.write(content)
