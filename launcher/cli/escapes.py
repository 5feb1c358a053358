"""Takes out of a job's output what could steer the terminal it is shown on: all but colours."""

from __future__ import annotations

import re

_LONGEST = 256
_SEQUENCE = re.compile(
    rb"(?P<colour>\x1b\[[0-9;:]{0,64}m)"
    rb"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    rb"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS, SOS, PM, APC
    rb"|\x1b[ -/]*[0-~]"  # other escapes
    rb"|\xc2[\x80-\x9f]"  # C1 as UTF-8
    rb"|[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]"
)
_UNFINISHED = re.compile(rb"(?:\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)|\xc2)\Z")


class EscapeFilter:
    """Cleans one stream; a sequence may be cut between two pieces of it."""

    def __init__(self) -> None:
        self._rest = b""

    def clean(self, data: bytes) -> bytes:
        """Return what may be shown of the next piece."""
        data = self._rest + data
        cut = _UNFINISHED.search(data)
        if cut and len(data) - cut.start() <= _LONGEST:
            data, self._rest = data[: cut.start()], data[cut.start() :]
        else:
            self._rest = b""
        shown = _SEQUENCE.sub(lambda found: found["colour"] or b"", data)
        return re.sub(rb"\x1b(?!\[[0-9;:]{0,64}m)", b"", shown)
