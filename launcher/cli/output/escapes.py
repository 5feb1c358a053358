"""Takes out of a job's output what could steer the terminal it is shown on: all but colours.

Tabs and line ends stay; other control characters go, and so do those that turn text around or
are not seen (``terminal.UNSEEN``). What is not UTF-8 is shown as U+FFFD.
"""

from __future__ import annotations

import codecs
import os
import re

from launcher.cli.output.terminal import UNSEEN

_LONGEST = 256
"""A sequence that is longer than so many characters is taken for text."""
_COLOUR = r"\x1b\[[0-9;:]{0,64}m"
_SEQUENCE = re.compile(
    rf"(?P<colour>{_COLOUR})"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS ...
    r"|\x1b[ -/]*[0-~]"  # other escapes
    rf"|(?![\t\n\r\x1b])[\x00-\x1f\x7f-\x9f{UNSEEN}]"
)
_UNFINISHED = re.compile(
    r"(?:(?:\x1b\[|\x9b)[0-?]*[ -/]*|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*\x1b?"
    r"|\x1b[ -/]*)\Z"
)
_LONE = re.compile(r"\x1b(?!\[[0-9;:]{0,64}m)")


class EscapeFilter:
    """Cleans one stream; a sequence, or a character, may be cut between two pieces of it."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def clean(self, data: bytes) -> bytes:
        """Return what may be shown of the next piece."""
        text = self._rest + self._decoder.decode(data)
        cut = _UNFINISHED.search(text, max(0, len(text) - _LONGEST))
        self._rest = text[cut.start() :] if cut else ""
        shown = _SEQUENCE.sub(lambda match: match["colour"] or "", text[: cut and cut.start()])
        return _LONE.sub("", shown).encode()


class Cleaner:
    """Cleans what is written to those of our outputs that are terminals, unless ``raw``."""

    def __init__(self, *, raw: bool) -> None:
        self._filters = {fd: EscapeFilter() for fd in (1, 2) if not raw and os.isatty(fd)}

    def clean(self, fd: int, data: bytes) -> bytes:
        """Return what may be written to an output of the next piece of it."""
        result = self._filters.get(fd)
        return data if result is None else result.clean(data)
