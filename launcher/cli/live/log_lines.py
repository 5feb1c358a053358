"""A job's output as lines that are safe to show: no sequences, no control characters."""

from __future__ import annotations

import re

from launcher.text.escape_filter import EscapeFilter
from launcher.text.safe_text import safe

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
LONGEST = 4096
"""A longer line is cut into several."""


class LogLines:
    """Makes lines of the pieces of one stream."""

    def __init__(self) -> None:
        self._filter = EscapeFilter()
        self._rest = ""

    def take(self, data: bytes) -> list[str]:
        """Return the lines that are whole with this piece."""
        text = _COLOUR.sub("", self._filter.clean(data).decode(errors="replace"))
        *whole, rest = (self._rest + text).split("\n")
        while len(rest) > LONGEST:
            whole.append(rest[:LONGEST])
            rest = rest[LONGEST:]
        self._rest = rest
        return [_shown(each) for each in whole]

    @property
    def unfinished(self) -> str:
        """The last line as far as it has come."""
        return _shown(self._rest)


def _shown(text: str) -> str:
    """Return a line as a terminal would leave it: what a carriage return overwrote is gone."""
    last = text.rstrip("\r").rpartition("\r")[2]
    return safe(last.expandtabs(8))
