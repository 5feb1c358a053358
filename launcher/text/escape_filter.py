"""Output of jobs that is shown: without what could steer a terminal, or turn a line around.

Tabs and line ends stay, colours may, and what is not UTF-8 is shown as U+FFFD.
"""

from __future__ import annotations

import codecs
import re

from launcher.text.safe_text import UNSEEN

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
    """Cleans one stream; a sequence, or a character, may be cut between two pieces of it.

    All but colours go; without ``colours`` these go as well.
    """

    def __init__(self, *, colours: bool = True) -> None:
        self._keeps = colours
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def clean(self, data: bytes) -> bytes:
        """Return what may be shown of the next piece."""
        text = self._rest + self._decoder.decode(data)
        cut = _UNFINISHED.search(text, max(0, len(text) - _LONGEST))
        self._rest = text[cut.start() :] if cut else ""
        shown = _SEQUENCE.sub(self._kept, text[: cut and cut.start()])
        return _LONE.sub("", shown).encode()

    def _kept(self, match: re.Match[str]) -> str:
        return (match["colour"] or "") if self._keeps else ""
