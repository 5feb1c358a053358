"""Notifications and deliveries for tests."""

from __future__ import annotations

from launcher import wire
from launcher.spec.notify import NotifyTarget
from launcher.web.notify.deliveries import Delivery

HOOK = NotifyTarget(webhook="https://hooks.example.org/secret")
MAIL = NotifyTarget(mail="me")


def event(seq: int, user: str = "alice", name: str = "train") -> wire.EventLine:
    """Return the event of a job that ended."""
    job = wire.PublishedJob(
        id=seq + 100, name=name, image="busybox", array=None, attempt=1, slices=["MIG-1"] * 100,
        outcome="FAILED", reason=None, exit_code=3, message=None,
    )  # fmt: skip
    return wire.EventLine(
        version=1, seq=seq, at="2026-11-01T00:00:00.000000Z", type="job.ended", user=user, job=job,
        array=None, subject=None, detail=None, text=f"job {seq + 100} of {user}: FAILED",
    )  # fmt: skip


def notification(seq: int, *targets: NotifyTarget, uid: int = 1000) -> wire.Notification:
    """Return the notification of an event."""
    return wire.Notification(event=event(seq), uid=uid, targets=list(targets or (HOOK,)))


def delivery(
    key: str = "1.0", uid: int = 1000, target: NotifyTarget = HOOK, due: float = 0.0
) -> Delivery:
    """Return a delivery that was not tried."""
    document = {"text": f"text of {key}", "title": "title"}
    return Delivery(
        id=key, uid=uid, user=f"user{uid}", target=target, job=7, document=document, due=due
    )
