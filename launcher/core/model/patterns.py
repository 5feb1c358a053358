"""Patterns of job names: ``*`` stands for any text, ``?`` for one character."""

from __future__ import annotations

import re
from collections.abc import Callable

from launcher.errors import UserError

MOST_CHARACTERS = 128


def compiled(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a name matches; raises ``UserError`` for a pattern too long.

    Each ``*`` takes the first place that fits and never tries another (an atomic group of re, since
    Python 3.11), so that no pattern takes more than its length times the name's.
    """
    if len(pattern) > MOST_CHARACTERS:
        raise UserError(
            f"name: the pattern has {len(pattern)} characters, {MOST_CHARACTERS} are the most"
        )
    first, *rest = (_literal(part) for part in re.split(r"\*+", pattern))
    if rest:
        middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
        expression = f"{first}{middle}.*{rest[-1]}"
    else:
        expression = first
    match = re.compile(expression, re.DOTALL).fullmatch
    return lambda name: match(name) is not None


def _literal(part: str) -> str:
    return ".".join(re.escape(piece) for piece in part.split("?"))
