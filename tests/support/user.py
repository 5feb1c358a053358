"""An ordinary user's shell: his own home, no capabilities but reading, Docker through a group."""

from __future__ import annotations

import ctypes
import pwd
import shutil
import tempfile
from pathlib import Path

NAME = "nobody"
_LIBC = ctypes.CDLL(None, use_errno=True)
_VERSION, _DAC_READ_SEARCH = 0x20080522, 1 << 2  # linux/capability.h
ALONE = (
    "unshare", "--mount", "sh", "-c",
    (
        "for place in /run/launcher /etc/systemd/system /lib/systemd/system; do "
        '[ ! -d "$place" ] || mount -t tmpfs -o mode=755 none "$place"; done; exec "$@"'
    ),
    "sh",
)  # fmt: skip
"""The words before a command for which this machine has no system daemon of the launcher."""


def may_read_all() -> None:
    """Take CAP_DAC_READ_SEARCH back after ``seteuid``, until root is: capset(2), of this thread.

    Whoever acts as another user must still import modules, wherever this checkout is.
    """
    head = (ctypes.c_uint32 * 2)(_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    if not _LIBC.capget(head, sets):
        sets[0] |= _DAC_READ_SEARCH
        if not _LIBC.capset(head, sets):
            return
    raise OSError(ctypes.get_errno(), "capset")


class OrdinaryUser:
    """A user with a home of his own, ``nobody`` by default; commands run as he runs them.

    He may read this checkout and its Python wherever they are, which needs CAP_DAC_READ_SEARCH,
    and with ``docker`` he is in the group that the sandbox's socket belongs to.
    """

    def __init__(self, name: str = NAME) -> None:
        self.name = name
        self.uid, self.gid = pwd.getpwnam(name)[2:4]
        self.home = Path(tempfile.mkdtemp(prefix="home-"))
        self.owns(self.home)

    def owns(self, path: Path) -> None:
        """Make a file or directory his."""
        shutil.chown(path, self.uid, self.gid)

    @property
    def environment(self) -> dict[str, str]:
        """A login without anything of the launcher or of Docker in it."""
        return {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "USER": self.name}

    def command(self, *, docker: bool = True) -> list[str]:
        """The words before a command that make it his."""
        groups = "--groups=0" if docker else "--clear-groups"
        reading = "+dac_read_search"
        return [
            "setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", groups,
            f"--inh-caps=-all,{reading}", f"--ambient-caps=-all,{reading}",
            f"--bounding-set=-all,{reading}",
        ]  # fmt: skip

    def close(self) -> None:
        """Remove his home."""
        shutil.rmtree(self.home, ignore_errors=True)
