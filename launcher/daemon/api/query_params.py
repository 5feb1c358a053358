"""The parameters of paths and query strings: how each is read, and its OpenAPI description.

A parameter that a route does not have is refused, as an unknown key of a body is: a misspelt
``all`` must not return the live jobs alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from launcher.errors import UserError

MOST = 2**63 - 1
"""The greatest whole number of a parameter: SQLite's limit."""
LONGEST_WAIT_SECONDS = 30.0
LAST_MOMENT = 253402300799
"""The greatest moment, in seconds since 1970: the end of the year 9999, the last of RFC 3339."""

_WHOLE = {"type": "integer", "minimum": 0, "maximum": MOST}
_MOMENT = _WHOLE | {"maximum": LAST_MOMENT}
_FLAG = {"type": "string", "enum": ["0", "1"]}
_TEXT = {"type": "string"}
_POSITION = re.compile(r"([0-9]{1,9})\.([0-9]{1,18})\.([0-9]{1,9})", re.ASCII)

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. ``schema`` is JSON Schema; ``repeated`` ones may occur several times.

    ``read`` returns the value of a request; the handler gets it under the name ``keyword``.
    """

    name: str
    about: str
    schema: Mapping[str, Any]
    read: Callable[[Query, str], Any]
    keyword: str
    repeated: bool = False

    def openapi(self, where: str) -> dict[str, Any]:
        """Return its OpenAPI description; ``where`` is path or query."""
        schema = {"type": "array", "items": self.schema} if self.repeated else dict(self.schema)
        return {
            "name": self.name,
            "in": where,
            "required": where == "path",
            "description": self.about,
            "schema": schema,
        }


def must_be_known(query: Mapping[str, str], known: Iterable[Parameter]) -> None:
    """Raise ``UserError`` for a parameter that the route does not have."""
    names = [parameter.name for parameter in known]
    for name in query:
        if name not in names:
            raise UserError(
                f"{name}: unknown parameter",
                fix=f"Known: {', '.join(names)}." if names else "This route has no parameters.",
            )


def is_set(query: Query, name: str) -> bool:
    """Return a flag; raises ``UserError`` where it is neither 0 nor 1."""
    value = query.get(name, "0")
    if value not in ("0", "1"):
        raise UserError(f"{name}={value}: must be 0 or 1")
    return value == "1"


def whole_number(query: Query, name: str, most: int = MOST) -> int | None:
    """Return a whole number, None without the parameter."""
    value = query.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal()) or len(value) > 20 or int(value) > most:
        raise UserError(f"{name}={value}: must be a whole number up to {most}")
    return int(value)


def log_position(query: Query, name: str) -> tuple[int, int, int] | None:
    """Return the attempt, position and bytes to go on after, None without the parameter."""
    value = query.get(name)
    if value is None:
        return None
    match = _POSITION.fullmatch(value)
    if match is None:
        raise UserError(
            f"{name}={value!r} is not a valid position: send the last one of the stream"
        )
    return int(match[1]), int(match[2]), int(match[3])


def wait_timeout(query: Query, name: str) -> float:
    """Return the seconds that a long poll may take."""
    value = query.get(name)
    if value is None:
        return LONGEST_WAIT_SECONDS
    try:
        return min(LONGEST_WAIT_SECONDS, max(0.0, float(value)))
    except ValueError:
        raise UserError(f"{name}={value}: that is not a number of seconds") from None


def _text(query: Query, name: str) -> str | None:
    return query.get(name)


def _texts(query: Any, name: str) -> Sequence[str]:
    return cast(Sequence[str], query.getall(name, ()))


def flag(name: str, about: str, keyword: str = "") -> Parameter:
    """Return a parameter that is 1 or 0, by default 0."""
    return Parameter(name, about, _FLAG, is_set, keyword or name)


def number(name: str, about: str, keyword: str = "") -> Parameter:
    """Return a parameter that is a whole number."""
    return Parameter(name, about, _WHOLE, whole_number, keyword or name)


def moment(name: str, about: str) -> Parameter:
    """Return a parameter that is a time in whole seconds since 1970."""
    return Parameter(name, about, _MOMENT, partial(whole_number, most=LAST_MOMENT), name)


def text(name: str, about: str) -> Parameter:
    """Return a parameter that is any text."""
    return Parameter(name, about, _TEXT, _text, name)


def texts(name: str, about: str, keyword: str) -> Parameter:
    """Return a parameter that is any text and may be repeated."""
    return Parameter(name, about, _TEXT, _texts, keyword, repeated=True)


def page_size(default: int, most: int = MOST) -> Parameter:
    """Return the parameter ``most``: how many lines a reply has."""

    def read(query: Query, name: str) -> int:
        return min(whole_number(query, name) or default, most)

    return Parameter("most", "Maximum number of items.", _WHOLE, read, "most")


_NOT_EMPTY = {"type": "string", "minLength": 1}
IN_PATHS = {
    parameter.name: parameter
    for parameter in (
        Parameter(
            "ref",
            "A job, array or element: 12, 12[3], last, or a name: your newest job of that name. "
            "An array means all of it, 10-20 the jobs and arrays with these ids. "
            "Of /v1/slices: a MIG or GPU UUID, or a GPU's index.",
            _NOT_EMPTY,
            _text,
            "ref",
        ),
        number("id", "The id of a layout change."),
        Parameter("name", "The name of a reservation.", _NOT_EMPTY, _text, "name"),
    )
}
TIMEOUT = Parameter(
    "timeout",
    f"Longest wait in seconds, at most {LONGEST_WAIT_SECONDS:g}.",
    {"type": "number", "minimum": 0},
    wait_timeout,
    "seconds",
)
RESUMED = (
    Parameter(
        "position",
        "Resume here: the last position in the stream (a frame of stream 5).",
        {"type": "string", "pattern": f"^{_POSITION.pattern}$"},
        log_position,
        "position",
    ),
    number("skip", "Number of frames of output received after that position."),
)


def of_path(path: str) -> list[Parameter]:
    """Return the parameters of a route's path, in order."""
    return [IN_PATHS[name] for name in re.findall(r"{(\w+)}", path)]
