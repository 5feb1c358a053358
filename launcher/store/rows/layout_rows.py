"""Layout changes to rows and back: the request as columns, the whole as a document."""

from __future__ import annotations

import functools
import sqlite3
from typing import Any

from launcher.core.model.layout_change import LayoutOp

_PLAIN = ("id", "verb", "request", "asked_at", "ended_at", "message")


@functools.cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(LayoutOp)


def row(op: LayoutOp) -> dict[str, Any]:
    """Return a change's columns."""
    return {name: getattr(op, name) for name in _PLAIN} | {
        "uid": op.owner.uid,
        "gid": op.owner.gid,
        "user": op.owner.name,
        "state": op.state.value,
        "result": op.result.value if op.result else None,
        "document": _adapter().dump_json(op).decode(),
    }


def from_row(columns: sqlite3.Row) -> LayoutOp:
    """Return the change of a row."""
    op: LayoutOp = _adapter().validate_json(columns["document"])
    return op
