"""Reads a JSON text value by value, so that a long text does not block the event loop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

WINDOWS = (4096, 64 * 1024)
"""A value that ends within this many characters is short and is read at once."""
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class JsonCursor:
    """A position in a JSON text. Methods raise ``ValueError`` or ``RecursionError``."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = self._skip(0)

    def starts_with(self, bracket: str) -> bool:
        """Return whether the value here is an object (``{``) or a list (``[``)."""
        return self._text[self._at] == bracket

    def members(self) -> Iterator[str]:
        """Yield the keys of an object; the caller takes or enters the value after each."""
        self._expect("{")
        while not self._is_over("}"):
            if self._text[self._at] != '"':
                raise ValueError(f"a key is missing at character {self._at}")
            key, self._at = _DECODER.raw_decode(self._text, self._at)
            self._at = self._skip(self._at)
            self._expect(":")
            yield key
            self._pass_comma("}")

    def items(self) -> Iterator[None]:
        """Yield once per item of a list; the caller takes or enters it."""
        self._expect("[")
        while not self._is_over("]"):
            yield
            self._pass_comma("]")

    def is_long(self) -> bool:
        """Return whether the value here is too long to be read at once."""
        for size in WINDOWS:
            if self._at + size >= len(self._text):
                return False
            window = self._text[self._at : self._at + size]
            try:
                end = _DECODER.raw_decode(window)[1]
            except ValueError:
                continue
            if end < size:  # otherwise it may be a number cut by the window
                return False
        return True

    def take(self) -> str:
        """Return the text of the value here, and move past it."""
        start = self._at
        end = _DECODER.raw_decode(self._text, start)[1]
        self._at = end
        return self._text[start:end]

    def must_be_over(self) -> None:
        """Raise ``ValueError`` if anything follows."""
        if _SPACE.fullmatch(self._text, self._at) is None:
            raise ValueError(f"unexpected text at character {self._at}")

    def _expect(self, wanted: str) -> None:
        if self._text[self._at] != wanted:
            raise ValueError(f"{wanted} is missing at character {self._at}")
        self._at = self._skip(self._at + 1)

    def _is_over(self, last: str) -> bool:
        over = self._text[self._at] == last
        self._at += over
        return over

    def _pass_comma(self, last: str) -> None:
        self._at = self._skip(self._at)
        if self._text[self._at] == last:
            return
        self._expect(",")
        if self._text[self._at] == last:
            raise ValueError(f"unexpected comma before {last} at character {self._at}")

    def _skip(self, at: int) -> int:
        """Return the position of the next non-space character; raises ``ValueError`` at the end."""
        match = _SPACE.match(self._text, at)
        at = match.end() if match is not None else at
        if at >= len(self._text):
            raise ValueError("unexpected end")
        return at
