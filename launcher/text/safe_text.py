"""Text of others that is shown: control characters, which could steer a terminal, written out."""

from __future__ import annotations

import re

UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff"
)
"""Characters that turn text around, end a line for some terminals, or take no place, as a class of
a pattern has them."""
_CONTROLS = re.compile(f"[\x00-\x1f\x7f-\x9f{UNSEEN}\ud800-\udfff]")
_BUT_NEWLINES = re.compile("(?!\n)" + _CONTROLS.pattern)


def safe(text: str, *, newlines: bool = False) -> str:
    r"""Return the text with control and bidi characters written out.

    >>> safe("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    pattern = _BUT_NEWLINES if newlines else _CONTROLS
    return pattern.sub(lambda match: _written_out(match.group()), text)


def _written_out(letter: str) -> str:
    code = ord(letter)
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
