"""One renderer: rows become a table, a JSON document, or names. Only tables are ever cut."""

from __future__ import annotations

import dataclasses
import json
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from launcher import wire
from launcher.cli.output import terminal
from launcher.text.safe_text import safe

GAP = "  "
NARROWEST = 8
"""No column is made narrower to spare another."""
SEEN = 16
"""So much of the last column, which says why, is worth another column."""


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
    sys.stdout.write("".join(f"{safe(str(name))}\n" for name in names))


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], spare: Sequence[str] = ()
) -> None:
    """Print ``table_lines`` within the terminal's width."""
    for line in table_lines(headings, rows, spare, terminal.width()):
        sys.stdout.write(line + "\n")


def table_lines(
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    spare: Sequence[str],
    limit: int | None,
) -> list[str]:
    """Return aligned columns within ``limit`` columns of a terminal, the headings first.

    The last cell of a row that has fewer than there are headings runs on over the columns to its
    right. Where the width is too little, the ``spare`` columns give way, in that order: they become
    narrower; where even so the last column would not be seen, the first of them are left out. Then
    the line is cut.
    """
    texts = [list(headings)] + [[_cell(cell) for cell in row] for row in rows]
    widths = _fitting(_widths(texts), [headings.index(each) for each in spare], limit)
    return [cut(GAP.join(_line(row, widths)).rstrip(), limit) for row in texts]


def _widths(texts: Sequence[Sequence[str]]) -> dict[int, int]:
    """Return how wide each column is; a cell that runs on does not count."""
    widths = dict(enumerate(map(columns, texts[0])))
    for row in texts[1:]:
        whole = row if len(row) == len(widths) else row[:-1]
        for index, cell in enumerate(whole):
            widths[index] = max(widths[index], columns(cell))
    return widths


def _fitting(widths: dict[int, int], spare: Sequence[int], limit: int | None) -> dict[int, int]:
    """Return the widths of the columns that are shown."""
    if limit is None:
        return widths
    last = max(widths)
    unseen = max(0, widths[last] - SEEN)
    for left_out in range(len(spare) + 1):
        columns = {at: width for at, width in widths.items() if at not in spare[:left_out]}
        for index in spare[left_out:]:
            columns[index] -= max(0, min(_total(columns) - limit, columns[index] - NARROWEST))
        if _total(columns) - unseen <= limit:
            break
    return columns


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + len(GAP) * (len(widths) - 1)


def _line(row: Sequence[str], widths: dict[int, int]) -> Iterator[str]:
    """Yield the cells of a row as wide as their columns."""
    runs_on = len(row) - 1 if len(row) <= max(widths) else None
    for index, cell in enumerate(row):
        if index == runs_on:
            yield cell
        elif index in widths:
            yield pad(cut(cell, widths[index]), widths[index])


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
    return "-" if value is None or value == "" else safe(str(value))


def pad(text: str, width: int) -> str:
    """Return the text with spaces up to ``width`` columns of a terminal."""
    return text + " " * (width - columns(text))


def cut(line: str, limit: int | None) -> str:
    """Return what fits in ``limit`` columns; an ellipsis stands for the rest."""
    if limit is None or columns(line) <= limit:
        return line
    prefix, taken = "", 0
    for letter in line:
        taken += _letter_columns(letter)
        if taken > max(limit - 1, 0):
            break
        prefix += letter
    return prefix + "…"
