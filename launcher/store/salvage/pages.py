"""Reads rows directly from the pages of a database file, if SQLite can no longer find them.

Every page that has rows is read (sqlite.org/fileformat2.html, sections 1.6 and 2.1), whether or not
another page still refers to it. The write-ahead log is applied up to its last whole commit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from launcher.store.connect import PAGE_SIZE

WAL_HEADER, FRAME_HEADER = 32, 24
LONGEST_PAYLOAD = 1 << 26
LENGTHS = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)
ROWID_LEAF, KEYED_LEAF, KEYED_INTERIOR = 0x0D, 0x0A, 0x02
MOST_KEYED, LEAST = ((PAGE_SIZE - 12) * share // 255 - 23 for share in (64, 32))
KINDS = {
    ROWID_LEAF: (8, 0, PAGE_SIZE - 35),
    KEYED_LEAF: (8, 0, MOST_KEYED),
    KEYED_INTERIOR: (12, 4, MOST_KEYED),
}
"""By kind of page: the sizes of its header and of the page number before a row, and the longest row
without overflow pages. Tables without a rowid have the kinds of an index."""

Value = int | float | str | bytes | None
Row = tuple[int | None, tuple[Value, ...]]
"""The rowid, if the table has one, and the columns in order; a column that is the rowid is None."""


class Pages:
    """The pages of a database file after the last commit."""

    def __init__(self, path: Path, wal: Path) -> None:
        self._data = path.read_bytes()
        self._newer = dict(_committed(wal.read_bytes() if wal.exists() else b""))

    def rows(self) -> Iterator[Row]:
        """Yield every readable row, of tables and of indexes."""
        count = max(len(self._data) // PAGE_SIZE, max(self._newer, default=0))
        for number in range(1, count + 1):
            page, start = self._page(number), 100 if number == 1 else 0
            if page and page[start] in KINDS:
                yield from self._rows_of(page, start)

    def _page(self, number: int) -> bytes:
        newer = self._newer.get(number)
        start = (number - 1) * PAGE_SIZE
        return newer if newer is not None else self._data[start : start + PAGE_SIZE]

    def _rows_of(self, page: bytes, start: int) -> Iterator[Row]:
        (count,) = struct.unpack_from(">H", page, start + 3)
        for index in range(count):
            try:
                yield self._row(page, start, index)
            except (struct.error, IndexError, ValueError, UnicodeDecodeError):
                continue

    def _row(self, page: bytes, start: int, index: int) -> Row:
        header, child, most = KINDS[page[start]]
        (at,) = struct.unpack_from(">H", page, start + header + 2 * index)
        length, at = _varint(page, at + child)
        rowid = None
        if page[start] == ROWID_LEAF:
            rowid, at = _varint(page, at)
        if length > LONGEST_PAYLOAD:
            raise ValueError("no row is as long as that")
        local = length
        if length > most:
            local = LEAST + (length - LEAST) % (PAGE_SIZE - 4)
            local = local if local <= most else LEAST
        payload = page[at : at + local]
        if local < length:
            (following,) = struct.unpack_from(">I", page, at + local)
            payload += self._overflow(following, length - local)
        if len(payload) != length:
            raise ValueError("the end of a row is missing")
        return rowid, _record(payload)

    def _overflow(self, number: int, left: int) -> bytes:
        result = bytearray()
        while number and len(result) < left:
            page = self._page(number)
            (number,) = struct.unpack_from(">I", page)
            result += page[4:]
        return bytes(result[:left])


def _committed(log: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the pages of a log up to its last whole commit, older ones first."""
    salts, result, step = log[16:24], [], FRAME_HEADER + PAGE_SIZE
    for at in range(WAL_HEADER, len(log) - step + 1, step):
        number, commit = struct.unpack_from(">II", log, at)
        if log[at + 8 : at + 16] != salts:
            break
        result.append((number, log[at + FRAME_HEADER : at + step]))
        if commit:
            yield from result
            result = []


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, at + index + 1
    value = (value << 8) | data[at + 8]
    return value - (value >> 63 << 64), at + 9


def _record(payload: bytes) -> tuple[Value, ...]:
    end, at = _varint(payload, 0)
    kinds: list[int] = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    for kind in kinds:
        length = (kind - 12) // 2 if kind >= 12 else LENGTHS[kind]
        field = payload[at : at + length]
        if len(field) != length:
            raise ValueError("a column is cut off")
        values.append(_value(kind, field))
        at += length
    return tuple(values)


def _value(kind: int, field: bytes) -> Value:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind == 7:
        return float(struct.unpack(">d", field)[0])
    if kind < 7:
        return int.from_bytes(field, "big", signed=True)
    return field.decode() if kind % 2 else field
