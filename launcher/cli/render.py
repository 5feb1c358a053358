"""One renderer: rows become a table, a JSON document, or names. Only tables are ever cut."""

from __future__ import annotations

import dataclasses
import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

from launcher import wire
from launcher.cli import terminal

GAP = "  "
NARROWEST = 8
"""No column is made narrower to spare another."""


def print_json(value: Any) -> None:
    """Print one JSON document; ASCII only, so that nothing in it can steer a terminal."""
    sys.stdout.write(json.dumps(plain(value), indent=2) + "\n")


def plain(value: Any) -> Any:
    """Return dataclasses as mappings; a job's detail with the job's keys at the top."""
    if isinstance(value, wire.JobDetail):
        detail = dataclasses.asdict(value)
        return {**detail.pop("job"), **detail}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def print_names(names: Sequence[object]) -> None:
    """Print one name a line."""
    sys.stdout.write("".join(f"{terminal.safe(str(name))}\n" for name in names))


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], spare: Sequence[str] = ()
) -> None:
    """Print aligned columns within the terminal's width.

    Where that is too little, the ``spare`` columns give way first, in that order; then the line
    is cut.
    """
    texts = [list(headings)] + [[_cell(cell) for cell in row] for row in rows]
    widths = [max(columns(row[index]) for row in texts) for index in range(len(headings))]
    limit = terminal.width()
    for heading in spare if limit is not None else ():
        over = sum(widths) + len(GAP) * (len(widths) - 1) - (limit or 0)
        index = headings.index(heading)
        widths[index] -= max(0, min(over, widths[index] - NARROWEST))
    for row in texts:
        cells = (_cut(cell, width) for cell, width in zip(row, widths, strict=True))
        line = GAP.join(_pad(cell, width) for cell, width in zip(cells, widths, strict=True))
        sys.stdout.write(_cut(line.rstrip(), limit) + "\n")


def print_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    """Print ``name: value`` lines with the values aligned; values of None are left out."""
    shown = [(name, value) for name, value in pairs if value is not None]
    wide = max((len(name) for name, _ in shown), default=0) + 1
    for name, value in shown:
        sys.stdout.write(f"{name + ':':<{wide}} {_cell(value)}\n")


def columns(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_letter_columns(letter) for letter in text)


def _letter_columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else terminal.safe(str(value))


def _pad(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def _cut(line: str, limit: int | None) -> str:
    if limit is None or columns(line) <= limit:
        return line
    kept, taken = "", 0
    for letter in line:
        taken += _letter_columns(letter)
        if taken > max(limit - 1, 0):
            break
        kept += letter
    return kept + "…"
