"""Long requests, read job by job: a whole one of ten megabytes would take a third of a second.

What is read and refused is the same as where it is read at once.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator

from launcher import wire
from launcher.daemon import convert
from launcher.daemon.pauses import Pauses
from launcher.errors import UserError

SHORT_BYTES = 64 * 1024
"""A shorter request is read at once."""
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


async def submit_request(body: bytes) -> wire.SubmitRequest:
    """Return the request of a submit, read some jobs at a time; raises ``UserError``."""
    if len(body) <= SHORT_BYTES:
        return convert.parse(wire.SubmitRequest, body)
    pauses = Pauses()
    others: list[str] = []
    jobs: list[wire.JobRequest] | None = None
    try:
        text = body.decode()
        for key, value in _parts(text):
            if isinstance(value, str):
                others.append(f"{json.dumps(key)}:{value}")
                continue
            jobs = []
            for number, one in enumerate(value):
                if number >= wire.ArrayRequest.MAX_ELEMENTS:
                    raise UserError(f"jobs: at most {wire.ArrayRequest.MAX_ELEMENTS} can be")
                jobs.append(_job(one, number))
                await pauses.rest()
    except (ValueError, RecursionError) as error:
        raise UserError(f"the request is not valid JSON: {error}") from None
    if jobs is not None:
        others.append('"jobs":[]')
    asked = convert.parse(wire.SubmitRequest, f"{{{','.join(others)}}}".encode())
    return asked if jobs is None else dataclasses.replace(asked, jobs=jobs)


def _job(text: str, number: int) -> wire.JobRequest:
    try:
        return convert.parse(wire.JobRequest, text.encode())
    except UserError as error:
        told = error.message.removeprefix("the request")
        error.message = f"jobs.{number}{'.' if told == error.message else ''}{told}"
        raise


def _parts(text: str) -> Iterator[tuple[str, str | Iterator[str]]]:
    """Yield the members of the object that ``text`` is: the texts of its jobs one by one.

    Raises ``ValueError`` unless it is a JSON object.
    """
    at = _after(text, 0, "{")
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        key = str(key)  # where it is none, what follows is refused
        at = _after(text, at, ":")
        if key == "jobs" and text[at : at + 1] == "[":
            place = [at]
            yield key, _items(text, place)
            at = place[0]
        else:
            _, end = _DECODER.raw_decode(text, at)
            yield key, text[at:end]
            at = end
        at = _next(text, at, "}")
    if _SPACE.fullmatch(text, at + 1) is None:
        raise ValueError(f"something follows at character {at + 1}")


def _items(text: str, place: list[int]) -> Iterator[str]:
    """Yield the texts of a list's items; ``place`` is where it begins, then what follows it."""
    at = _after(text, place[0], "[")
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        yield text[at:end]
        at = _next(text, end, "]")
    place[0] = at + 1


def _next(text: str, at: int, last: str) -> int:
    """Return where the next item begins, or where ``last`` is."""
    at = _skip(text, at)
    if text[at] == last:
        return at
    at = _after(text, at, ",")
    if text[at] == last:
        raise ValueError(f"a comma before {last} at character {at}")
    return at


def _after(text: str, at: int, wanted: str) -> int:
    """Return what follows a character that has to be there, and the space behind it."""
    at = _skip(text, at)
    if text[at] != wanted:
        raise ValueError(f"{wanted} is missing at character {at}")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    """Return where something stands again; raises ``ValueError`` at the end."""
    found = _SPACE.match(text, at)
    at = found.end() if found is not None else at
    if at >= len(text):
        raise ValueError("it breaks off")
    return at
