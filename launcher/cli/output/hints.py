"""What to do about a failure that a container's output names."""

from __future__ import annotations

import re

TAIL_BYTES = 4096
"""Only the end of the output is looked at."""
_DENIED = re.compile(
    rb"permission denied|read-only file system|operation not permitted|EACCES|EPERM"
    rb"|must be (?:run as )?root|are you root|requires? root|superuser",
    re.IGNORECASE,
)


class OutputTail:
    """The last bytes of a job's output."""

    def __init__(self) -> None:
        self._tail = b""

    def add(self, data: bytes) -> None:
        """Take more output."""
        self._tail = (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]

    def hint(self) -> str | None:
        """Return what to do, if the output names a failure that has to do with users' rights."""
        match = _DENIED.search(self._tail)
        if match is None:
            return None
        text = match[0].decode(errors="replace")
        return (
            f"the output says '{text}': a job runs as its user, not as root. It can write to HOME, "
            "/tmp, its working directory and its mounts (`launch help containers`)"
        )
