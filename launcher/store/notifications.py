"""Reads of notifications: published events with the targets that are told of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.core.messages.changes import NotifyFailed
from launcher.core.messages.published import PublishedEvent
from launcher.spec.notify import NotifyTarget
from launcher.store.rows import event_rows, notify_rows

if TYPE_CHECKING:
    from launcher.store.reader import Reader

MOST_FAILURES = 20
"""Of a job or a user that are shown."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event with the targets of its job or its owner; not all of them want it."""

    seq: int
    event: PublishedEvent
    targets: tuple[NotifyTarget, ...] = field(repr=False)


def told_between(reader: Reader, after: int, until: int) -> list[Told]:
    """Return the events with numbers above ``after`` up to ``until`` that have targets."""
    rows = reader.rows("told_between", after, until)
    wanted = {row["array_id"] for row in rows} - {None}
    of_arrays = _targets(reader, "notify_of_arrays", wanted)
    of_users = _targets(reader, "notify_of_users", {row["uid"] for row in rows} - {None})
    result = []
    for row in rows:
        own = row["notify"] or of_arrays.get(row["array_id"])
        targets = of_users.get(row["uid"]) if own is None or row["of_user"] else own
        if targets is not None and (found := notify_rows.targets_from(targets)):
            result.append(Told(*event_rows.from_row(row), found))
    return result


def _targets(reader: Reader, query: str, keys: Iterable[int]) -> dict[int, str]:
    rows = reader.rows(query, json.dumps(sorted(keys)))
    return {row["id"]: row["targets"] for row in rows if row["targets"] is not None}


def targets_of(reader: Reader, uid: int) -> tuple[NotifyTarget, ...]:
    """Return the targets that a user set for all jobs."""
    found = _targets(reader, "notify_of_users", (uid,))
    return notify_rows.targets_from(found[uid]) if uid in found else ()


def are_wanted(reader: Reader) -> bool:
    """Whether a user has targets, or one of the newest jobs."""
    return bool(reader.rows("notify_is_wanted")[0][0])


def failures_of_job(reader: Reader, ids: Iterable[int]) -> list[NotifyFailed]:
    """Return the last failures of a job and of its array, newest last."""
    return _failures(reader.rows("notify_failures_of", json.dumps(list(ids)), MOST_FAILURES))


def failures_of_array(reader: Reader, array: int, uid: int) -> list[NotifyFailed]:
    """Return the last failures of a user's array and of its elements, newest last."""
    values = {"array": array, "uid": uid, "most": MOST_FAILURES}
    return _failures(reader.rows("notify_failures_of_array", **values))


def failures_of_user(reader: Reader, uid: int) -> list[NotifyFailed]:
    """Return the last failures of a user's notifications, newest last."""
    return _failures(reader.rows("notify_failures_of_user", uid, MOST_FAILURES))


def _failures(rows: list[Any]) -> list[NotifyFailed]:
    return [notify_rows.failure_from(row) for row in rows][::-1]
