"""Takes out of a job's output what could steer the terminal it is shown on: all but colours."""

from __future__ import annotations

import os

from launcher.text.escape_filter import EscapeFilter


class Cleaner:
    """Cleans what is written to those of our outputs that are terminals, unless ``raw``."""

    def __init__(self, *, raw: bool) -> None:
        self._filters = {fd: EscapeFilter() for fd in (1, 2) if not raw and os.isatty(fd)}

    def clean(self, fd: int, data: bytes) -> bytes:
        """Return what may be written to an output of the next piece of it."""
        result = self._filters.get(fd)
        return data if result is None else result.clean(data)
