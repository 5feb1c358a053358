"""Lines of the audit log to rows and back."""

from __future__ import annotations

import sqlite3
from typing import Any

from launcher.core.messages.changes import AuditLine

Row = dict[str, Any]
_COLUMNS = tuple(AuditLine.__slots__)


def row(line: AuditLine) -> Row:
    """Return the columns of a line."""
    return {name: getattr(line, name) for name in _COLUMNS}


def from_row(result: sqlite3.Row) -> AuditLine:
    """Return the line of a row."""
    return AuditLine(**{name: result[name] for name in _COLUMNS})
