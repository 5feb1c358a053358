"""What the caller is told of files that are valid."""

from __future__ import annotations

from collections.abc import Iterator


class Notices:
    """Notes in their order, each once; of many only the first."""

    MOST = 20

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._more = 0

    def add(self, text: str) -> None:
        """Take one note."""
        if text in self._texts or not self.full:
            self._texts[text] = None
        else:
            self._more += 1

    @property
    def full(self) -> bool:
        """Whether another note would only be counted."""
        return len(self._texts) >= self.MOST

    def __iter__(self) -> Iterator[str]:
        yield from self._texts
        if self._more:
            yield f"… and {self._more} more notes"
