"""The parameters of paths and query strings: how each is read, and how the OpenAPI document tells.

A parameter that a route does not have is refused, as an unknown key of a body is: who misspells
``all`` is not to be told of the live jobs alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.errors import UserError

MOST = 2**63 - 1
"""The greatest whole number that a parameter may be: what SQLite can compare with."""
LONGEST_WAIT_SECONDS = 30.0

_WHOLE = {"type": "integer", "minimum": 0, "maximum": MOST}
_FLAG = {"type": "string", "enum": ["0", "1"]}
_TEXT = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; ``schema`` is JSON Schema, ``repeated`` ones may be there many times."""

    name: str
    about: str
    schema: Mapping[str, Any]
    repeated: bool = False

    def told(self, where: str) -> dict[str, Any]:
        """Return it as OpenAPI has it; ``where`` is path or query."""
        schema = {"type": "array", "items": self.schema} if self.repeated else dict(self.schema)
        return {
            "name": self.name,
            "in": where,
            "required": where == "path",
            "description": self.about,
            "schema": schema,
        }


def flag(name: str, about: str) -> Parameter:
    """Return a parameter that is 1 or 0, and 0 where it is not there."""
    return Parameter(name, about, _FLAG)


def number(name: str, about: str) -> Parameter:
    """Return a parameter that is a whole number."""
    return Parameter(name, about, _WHOLE)


def text(name: str, about: str, *, repeated: bool = False) -> Parameter:
    """Return a parameter that is any text."""
    return Parameter(name, about, _TEXT, repeated)


IN_PATHS = {
    parameter.name: parameter
    for parameter in (
        Parameter(
            "ref",
            "A job, array or element: 12, 12[3], 10-20, last, or a name of one's own. "
            "Of /v1/slices: a MIG or GPU UUID, or a GPU's index.",
            {"type": "string", "minLength": 1},
        ),
        number("id", "A change of the layout."),
        Parameter("name", "A reservation.", {"type": "string", "minLength": 1}),
    )
}
PAGE_SIZE = number("most", "How many at most.")
TIMEOUT = Parameter(
    "timeout",
    f"After so many seconds it is answered at the latest; {LONGEST_WAIT_SECONDS:g} are the most.",
    {"type": "number", "minimum": 0},
)
_POSITION = re.compile(r"([0-9]{1,9})\.([0-9]{1,18})\.([0-9]{1,9})", re.ASCII)
RESUMED = (
    Parameter(
        "position",
        "Go on there: the last position that the stream told (a frame of stream 5).",
        {"type": "string", "pattern": f"^{_POSITION.pattern}$"},
    ),
    number("skip", "How many frames of output came after that position."),
)


def of_path(path: str) -> list[Parameter]:
    """Return the parameters of a route's path, in order."""
    return [IN_PATHS[name] for name in re.findall(r"{(\w+)}", path)]


def must_be_known(query: Mapping[str, str], known: Iterable[Parameter]) -> None:
    """Raise ``UserError`` for a parameter that is none of the route's."""
    names = [parameter.name for parameter in known]
    for name in query:
        if name not in names:
            raise UserError(
                f"{name}: there is no such parameter",
                fix=f"There is {', '.join(names)}." if names else "There is none here.",
            )


def is_set(query: Mapping[str, str], name: str) -> bool:
    """Return a flag; raises ``UserError`` where it is neither 0 nor 1."""
    value = query.get(name, "0")
    if value not in ("0", "1"):
        raise UserError(f"{name}={value}: that is neither 0 nor 1")
    return value == "1"


def whole_number(query: Mapping[str, str], name: str) -> int | None:
    """Return a whole number, None where it is not there."""
    value = query.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal()) or len(value) > 20 or int(value) > MOST:
        raise UserError(f"{name}={value}: that is not a whole number up to {MOST}")
    return int(value)


def log_position(query: Mapping[str, str]) -> tuple[int, int, int] | None:
    """Return the attempt, position and bytes to go on after, None without the parameter."""
    value = query.get("position")
    if value is None:
        return None
    match = _POSITION.fullmatch(value)
    if match is None:
        raise UserError(
            f"position={value!r} is not a valid position: send the last one that the stream told"
        )
    return int(match[1]), int(match[2]), int(match[3])


def wait_timeout(query: Mapping[str, str]) -> float:
    """Return the seconds that a long poll may take."""
    value = query.get(TIMEOUT.name)
    if value is None:
        return LONGEST_WAIT_SECONDS
    try:
        return min(LONGEST_WAIT_SECONDS, max(0.0, float(value)))
    except ValueError:
        raise UserError(f"timeout={value}: that is not a number of seconds") from None
