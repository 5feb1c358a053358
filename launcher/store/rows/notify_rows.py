"""Targets and failures of notifications to rows and back."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from typing import Any

from launcher.core.messages.changes import NotifyFailed
from launcher.spec.notify import END, NotifyTarget


def targets_text(targets: tuple[NotifyTarget, ...]) -> str:
    """Return targets as JSON."""
    return json.dumps([dataclasses.asdict(target) for target in targets])


def targets_from(text: str) -> tuple[NotifyTarget, ...]:
    """Return the targets of JSON: of ``targets_text``, or of a stored specification."""
    return tuple(
        NotifyTarget(each.get("webhook"), each.get("mail"), tuple(each.get("on") or (END,)))
        for each in json.loads(text) or ()
    )


def failure_row(failure: NotifyFailed) -> tuple[Any, ...]:
    """Return the columns of a failure, without its number."""
    return dataclasses.astuple(failure)


def failure_from(row: sqlite3.Row) -> NotifyFailed:
    """Return the failure of a row."""
    return NotifyFailed(row["at"], row["uid"], row["job"], row["target"], row["detail"])
