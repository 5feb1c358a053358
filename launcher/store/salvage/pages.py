"""Reads rows directly from the pages of a database file, if SQLite can no longer find them.

Only leaves of tables with a rowid are read (sqlite.org/fileformat2.html, sections 1.6 and 2.1): all
of those in the file, whether or not a page still refers to them. The write-ahead log is applied to
it up to its last whole commit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

TABLE_LEAF = 0x0D
WAL_HEADER, FRAME_HEADER = 32, 24
SIZES = frozenset(2**n for n in range(9, 17))
LONGEST_PAYLOAD = 1 << 26

Value = int | float | str | bytes | None
Row = tuple[int, tuple[Value, ...]]
"""The rowid, and the columns in order; the column that is the rowid is None."""


class Pages:
    """The pages of a database file after the last commit."""

    def __init__(self, path: Path, wal: Path) -> None:
        self._data = path.read_bytes()
        log = wal.read_bytes() if wal.exists() else b""
        size = _size(self._data[16:18], 1) or _size(log[8:12], 0) or 4096
        self.size = size
        self._newer = dict(_committed(log, size))

    def rows(self) -> Iterator[Row]:
        """Yield every row of every readable leaf."""
        count = max(len(self._data) // self.size, max(self._newer, default=0))
        for number in range(1, count + 1):
            page = self._page(number)
            if page and page[100 if number == 1 else 0] == TABLE_LEAF:
                yield from self._leaf(page, 100 if number == 1 else 0)

    def _page(self, number: int) -> bytes:
        newer = self._newer.get(number)
        start = (number - 1) * self.size
        return newer if newer is not None else self._data[start : start + self.size]

    def _leaf(self, page: bytes, start: int) -> Iterator[Row]:
        (count,) = struct.unpack_from(">H", page, start + 3)
        for index in range(count):
            try:
                (at,) = struct.unpack_from(">H", page, start + 8 + 2 * index)
                yield self._cell(page, at)
            except (struct.error, IndexError, ValueError, UnicodeDecodeError):
                continue

    def _cell(self, page: bytes, at: int) -> Row:
        length, at = _varint(page, at)
        rowid, at = _varint(page, at)
        if length > LONGEST_PAYLOAD:
            raise ValueError("no row is as long as that")
        most = self.size - 35
        local = length
        if length > most:
            least = (self.size - 12) * 32 // 255 - 23
            local = least + (length - least) % (self.size - 4)
            local = local if local <= most else least
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


def _size(field: bytes, whole: int) -> int | None:
    """Return a page size if the field holds one; 1 in the header of a file means 65536."""
    value = int.from_bytes(field, "big")
    value = 65536 if whole and value == 1 else value
    return value if value in SIZES else None


def _committed(log: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the pages of a log up to its last whole commit, older ones first."""
    salts, result = log[16:24], []
    for at in range(WAL_HEADER, len(log) - FRAME_HEADER - size + 1, FRAME_HEADER + size):
        number, commit = struct.unpack_from(">II", log, at)
        if log[at + 8 : at + 16] != salts:
            break
        result.append((number, log[at + FRAME_HEADER : at + FRAME_HEADER + size]))
        if commit:
            yield from result
            result = []


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(9):
        byte = data[at + index]
        if index == 8:
            value = (value << 8) | byte
            break
        value = (value << 7) | (byte & 0x7F)
        if not byte & 0x80:
            break
    if value >= 1 << 63:
        value -= 1 << 64
    return value, at + index + 1


def _record(payload: bytes) -> tuple[Value, ...]:
    end, at = _varint(payload, 0)
    types: list[int] = []
    while at < end:
        kind, at = _varint(payload, at)
        types.append(kind)
    values: list[Value] = []
    for kind in types:
        length = _length(kind)
        field = payload[at : at + length]
        if len(field) != length:
            raise ValueError("a column is cut off")
        values.append(_value(kind, field))
        at += length
    return tuple(values)


def _length(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    return (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[kind]


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
