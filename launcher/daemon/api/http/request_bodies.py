"""Reads long submits in pieces: four megabytes at once would take a tenth of a second.

The result and the errors are the same as for reading at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from launcher import wire
from launcher.daemon.api.http.json_cursor import JsonCursor
from launcher.daemon.loop.pauses import Pauses
from launcher.daemon.requests import convert
from launcher.errors import UserError

SHORT_BYTES = 64 * 1024
"""A shorter request is read at once."""
ITEMS_AT_ONCE = 500
_LISTS: dict[str, Any] = {"indices": list[int], "matrix": list[dict[str, str]]}
"""The lists of an array that may be long."""
_PLACE = re.compile(r"\d+")
T = TypeVar("T")


async def submit_request(body: bytes) -> wire.SubmitRequest:
    """Parse the request of a submit; raises ``UserError``."""
    if len(body) <= SHORT_BYTES:
        return convert.parse(wire.SubmitRequest, body)
    try:
        return await _Reader(JsonCursor(body.decode())).submit()
    except (ValueError, RecursionError) as error:
        raise UserError(f"the request is not valid JSON: {error}") from None


class _Reader:
    """Parses one request from a cursor, with pauses for other requests."""

    def __init__(self, cursor: JsonCursor) -> None:
        self._cursor = cursor
        self._pauses = Pauses()

    async def submit(self) -> wire.SubmitRequest:
        cursor, most = self._cursor, wire.ArrayRequest.MAX_ELEMENTS
        texts: dict[str, str] = {}
        lists: dict[str, Any] = {}
        for key in cursor.members():
            lists.pop(key, None)  # the last of equal keys counts
            if key != "jobs" or not cursor.starts_with("["):
                texts[key] = cursor.take()
                continue
            jobs: list[wire.JobSpec] = []
            texts[key], lists[key] = "[]", jobs
            for _ in cursor.items():
                if len(jobs) >= most:
                    raise UserError(f"jobs: at most {most} can be")
                jobs.append(await self._job(f"jobs.{len(jobs)}"))
                await self._pauses.rest()
        cursor.must_be_over()
        return replace(_parse(wire.SubmitRequest, _object(texts), ""), **lists)

    async def _job(self, where: str) -> wire.JobSpec:
        cursor = self._cursor
        if not (cursor.starts_with("{") and cursor.is_long()):
            return _parse(wire.JobSpec, cursor.take(), where)
        texts: dict[str, str] = {}
        array: wire.ArrayRequest | None = None
        for key in cursor.members():
            if key == "array" and cursor.starts_with("{"):
                texts[key], array = "null", await self._array(f"{where}.array")
            else:
                texts[key], array = cursor.take(), None if key == "array" else array
            await self._pauses.rest()
        job = _parse(wire.JobSpec, _object(texts), where)
        return job if array is None else replace(job, array=array)

    async def _array(self, where: str) -> wire.ArrayRequest:
        cursor = self._cursor
        texts: dict[str, str] = {}
        lists: dict[str, Any] = {}
        for key in cursor.members():
            lists.pop(key, None)
            if key in _LISTS and cursor.starts_with("["):
                texts[key], lists[key] = "[]", await self._list(_LISTS[key], f"{where}.{key}")
            else:
                texts[key] = cursor.take()
        return replace(_parse(wire.ArrayRequest, _object(texts), where), **lists)

    async def _list(self, kind: Any, where: str) -> list[Any]:
        values: list[Any] = []
        texts: list[str] = []
        for _ in self._cursor.items():
            texts.append(self._cursor.take())
            if len(texts) == ITEMS_AT_ONCE:
                values += _items(kind, texts, where, len(values))
                texts.clear()
                await self._pauses.rest()
        return values + _items(kind, texts, where, len(values))


def _items(kind: Any, texts: list[str], where: str, before: int) -> list[Any]:
    """Parse some items of a list; ``before`` is the number of earlier items."""
    most = wire.ArrayRequest.MAX_ELEMENTS
    if before + len(texts) > most:
        raise UserError(f"{where}: at most {most} can be")
    try:
        values: list[Any] = convert.parse(kind, f"[{','.join(texts)}]".encode())
    except UserError as error:
        place = _PLACE.match(error.message)
        if place is not None:
            rest = error.message[place.end() :]
            error.message = f"{where}.{int(place[0]) + before}{rest}"
        raise
    return values


def _object(members: Mapping[str, str]) -> str:
    return f"{{{','.join(f'{json.dumps(key)}:{text}' for key, text in members.items())}}}"


def _parse(cls: type[T], text: str, where: str) -> T:
    """Parse a value; an error gets its path below ``where``."""
    try:
        return convert.parse(cls, text.encode())
    except UserError as error:
        fault = error.message.removeprefix("the request")
        dot = "" if fault != error.message or not where else "."
        error.message = f"{where}{dot}{fault}" if where else error.message
        raise
