"""SPECs of a layout: ``PROFILE[:COUNT][@START]``, as ``launch layout`` takes them.

``1c.3g.20gb:3`` is one 3g.20gb with three compute instances; with a place they stand in that one.
"""

from __future__ import annotations

import re

from launcher.wire import LayoutSpec

_SPEC = re.compile(
    r"(?P<profile>(?P<part>\d{1,2}c\.)?\d+g\.\d+gb(?:[+-][a-z.]+)*|\d+)"
    r"(?::(?P<count>\d{1,2}))?(?:@(?P<start>\d{1,2}))?",
    re.IGNORECASE,
)


def parse_spec(text: str) -> LayoutSpec:
    """Return a SPEC; ``ValueError`` says what it looks like.

    >>> parse_spec("1g.6gb:2"), parse_spec("1c.2g.12gb:2@2").start
    (LayoutSpec(profile='1g.6gb', count=2, start=None), 2)
    """
    match = _SPEC.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"'{text}' is not a valid layout SPEC: "
            "PROFILE[:COUNT][@START], such as 1g.6gb:2 or 2g.12gb@2"
        )
    count = int(match["count"] or 1)
    start = None if match["start"] is None else int(match["start"])
    if count < 1:
        raise ValueError(f"'{text}': a count is at least 1")
    if start is not None and count > 1 and not match["part"]:
        raise ValueError(f"'{text}': {count} cannot stand at one place; write one SPEC for each")
    return LayoutSpec(profile=match["profile"].lower(), count=count, start=start)


def format_specs(specs: list[LayoutSpec]) -> str:
    """Return SPECs as they are written."""
    return " ".join(
        spec.profile
        + (f":{spec.count}" if spec.count > 1 else "")
        + ("" if spec.start is None else f"@{spec.start}")
        for spec in specs
    )
