"""An ordinary user's shell: his own home, no capabilities but reading, Docker through a group."""

from __future__ import annotations

import pwd
import shutil
import tempfile
from pathlib import Path

NAME = "nobody"


class OrdinaryUser:
    """``nobody`` with a home of his own; commands run as he runs them.

    He may read this checkout and its Python wherever they are, which needs CAP_DAC_READ_SEARCH,
    and with ``docker`` he is in the group that the sandbox's socket belongs to.
    """

    def __init__(self) -> None:
        self.uid, self.gid = pwd.getpwnam(NAME)[2:4]
        self.home = Path(tempfile.mkdtemp(prefix="home-"))
        self.owns(self.home)

    def owns(self, path: Path) -> None:
        """Make a file or directory his."""
        shutil.chown(path, self.uid, self.gid)

    @property
    def environment(self) -> dict[str, str]:
        """A login without anything of the launcher or of Docker in it."""
        return {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "USER": NAME}

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
