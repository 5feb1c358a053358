"""The SQL of the package: named queries and numbered migrations, read once from their files."""

from __future__ import annotations

import functools
import re
from importlib import resources


@functools.cache
def queries() -> dict[str, str]:
    """Return the text of every query by the name in its ``-- name:`` line."""
    text = resources.files(__package__).joinpath("queries.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


@functools.cache
def migrations() -> tuple[str, ...]:
    """Return the scripts in order: the n-th brings the schema to version n, from 1."""
    folder = resources.files(__package__).joinpath("migrations")
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    for number, name in enumerate(names, start=1):
        assert name.startswith(f"{number:04}_"), f"migration {name} is out of order"
    return tuple(folder.joinpath(name).read_text("utf-8") for name in names)
