"""One delivery: a document for one target, and how often it was tried."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import Any

from launcher.spec.notify import NotifyTarget

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """``due`` is the next try in seconds since 1970, ``job`` the id of the job or array.

    A sum stands for ``more`` notifications above the limit of its user; its document is the last.
    """

    id: str
    uid: int
    user: str
    target: NotifyTarget = field(repr=False)
    job: int | None = None
    document: Document = field(repr=False)
    more: int = 0
    tries: int = 0
    due: float = 0.0

    @property
    def is_sum(self) -> bool:
        """Whether it stands for several notifications."""
        return self.more > 0


class NotSent(Exception):
    """A try failed; ``again``: a later one may succeed."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.why, self.again = why, again


def sum_id(uid: int, target: NotifyTarget) -> str:
    """Return the id of the sum of a user and a target."""
    what = f"{target.webhook}\n{target.mail}".encode()
    return f"more.{uid}.{hashlib.sha256(what).hexdigest()[:16]}"


def to_json(delivery: Delivery) -> Document:
    """Return a delivery as JSON values."""
    return dataclasses.asdict(delivery)


def from_json(values: Document) -> Delivery:
    """Return the delivery of JSON values; raises ``TypeError`` or ``KeyError`` for others."""
    target = values["target"]
    made = NotifyTarget(target["webhook"], target["mail"], tuple(target["on"]))
    return Delivery(**{**values, "target": made})
