"""How much one field of a request may hold, where that is not what every field of its type may.

The daemon gives every text, list, mapping and number of a request a bound: those below, unless the
field names its own (``Annotated[str, Most(128)]``). Without pydantic, which the client never loads.
"""

from __future__ import annotations

from typing import Any

STRICT: dict[str, Any] = {"extra": "forbid", "strict": False, "allow_inf_nan": False}
"""How pydantic reads a request: an unknown key is an error."""
MOST_CHARACTERS = 4096
MOST_ITEMS = 1000
MOST_NUMBER = 2**63 - 1
"""The largest whole number that SQLite keeps."""


class Most:
    """The most characters of a text, items of a list, or entries of a mapping."""

    __slots__ = ("length",)

    def __init__(self, length: int) -> None:
        self.length = length

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """Return the schema of the annotated type with this bound (pydantic's protocol)."""
        return {**handler(source), "max_length": self.length}
