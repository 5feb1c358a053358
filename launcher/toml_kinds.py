"""Kinds of values that launcher.toml holds: annotations for the fields of dataclasses.

``config/reading.py`` has pydantic read the file by them. The dataclasses themselves never load it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from launcher.jobfile.values.units import parse_duration, parse_size


class Within:
    """The bounds of a number, under pydantic's names: ``gt``, ``ge``, ``lt``, ``le``."""

    def __init__(self, **bounds: float) -> None:
        self.bounds = bounds

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """Return the schema of the annotated type with these bounds (pydantic's protocol)."""
        return {**handler(source), **self.bounds}


class ReadBy:
    """A function that makes the value of what the file says, or raises ``ValueError``."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self.read = read

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """Return the schema of the annotated type, behind the function (pydantic's protocol)."""
        function = {"type": "no-info", "function": self.read}
        return {"type": "function-before", "function": function, "schema": handler(source)}


def seconds(value: Any) -> float:
    """Return a length of time; a number alone has no unit and is refused."""
    return parse_duration(str(value))


def names(value: Any) -> tuple[str, ...]:
    """Return a list of names."""
    if not isinstance(value, list) or not all(isinstance(n, str) and n.strip() for n in value):
        raise ValueError("it must be a list of names")
    return tuple(value)


Count = Annotated[int, Within(ge=0)]
PositiveInt = Annotated[int, Within(gt=0)]
Amount = Annotated[float, Within(ge=0)]
PositiveFloat = Annotated[float, Within(gt=0)]
Share = Annotated[float, Within(gt=0, le=1)]
Duration = Annotated[float, ReadBy(seconds)]
"""Seconds, written as ``"90m"``."""
PositiveDuration = Annotated[float, Within(gt=0), ReadBy(seconds)]
Size = Annotated[int, Within(gt=0), ReadBy(lambda value: parse_size(str(value)))]
"""Bytes, written as ``"8g"`` or as a number."""
Names = Annotated[tuple[str, ...], ReadBy(names)]
NameSet = Annotated[frozenset[str], ReadBy(names)]
