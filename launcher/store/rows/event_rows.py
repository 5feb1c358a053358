"""Published events to rows and back."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from launcher.core.messages.published import EventType, PublishedEvent


def row(event: PublishedEvent) -> tuple[Any, ...]:
    """Return the columns of an event, without its number."""
    return event.at, event.type.value, event.uid, event.user, json.dumps(event.data)


def from_row(result: sqlite3.Row) -> tuple[int, PublishedEvent]:
    """Return the number and the event of a row."""
    kind, data = EventType(result["type"]), json.loads(result["data"])
    event = PublishedEvent(result["at"], kind, data, result["uid"], result["user"])
    return result["seq"], event
