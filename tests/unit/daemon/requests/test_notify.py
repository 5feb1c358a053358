"""Which events a target wants, which targets are allowed, and whether `launch web` is there."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.config.notify import NotifyTable
from launcher.core.messages.published import EventType, PublishedEvent
from launcher.daemon.doctor import notifications
from launcher.daemon.requests.notify import (
    PATIENCE_SECONDS,
    NotifyWatch,
    check_allowed,
    check_jobs,
    wanting,
)
from launcher.errors import UserError
from launcher.spec.job_spec import JobSpec
from launcher.spec.notify import NotifyTarget

URL = "https://ntfy.example.org/secret"
ELEMENT = {"id": 7, "index": 3}


def event(kind: EventType, **data: Any) -> PublishedEvent:
    return PublishedEvent(0.0, kind, {"array": None, "outcome": None, **data}, 1000, "alice")


STARTED = event(EventType.JOB_STARTED)
COMPLETED = event(EventType.JOB_ENDED, outcome="COMPLETED")
CANCELLED = event(EventType.JOB_ENDED, outcome="CANCELLED")
FAILED = event(EventType.JOB_ENDED, outcome="FAILED")
ELEMENT_FAILED = event(EventType.JOB_ENDED, outcome="FAILED", array=ELEMENT)
ELEMENT_STARTED = event(EventType.JOB_STARTED, array=ELEMENT)
ARRAY_FINE = event(EventType.ARRAY_ENDED, ends={"COMPLETED": 3, "CANCELLED": 1})
ARRAY_FAILED = event(EventType.ARRAY_ENDED, ends={"COMPLETED": 3, "TIMEOUT": 1})
TEST = event(EventType.NOTIFY_TEST)
OTHER = [event(each) for each in (EventType.JOB_REQUEUED, EventType.JOB_SUBMITTED)]
ALL = [
    STARTED, COMPLETED, CANCELLED, FAILED, ELEMENT_FAILED, ELEMENT_STARTED, ARRAY_FINE,
    ARRAY_FAILED, TEST, *OTHER,
]  # fmt: skip


@pytest.mark.parametrize(
    ("on", "wanted"),
    [
        (("end",), [COMPLETED, CANCELLED, FAILED, ARRAY_FINE, ARRAY_FAILED]),
        (("failure",), [FAILED, ARRAY_FAILED]),
        (("start",), [STARTED]),
        (("start", "elements"), [STARTED, ELEMENT_STARTED]),
        (("failure", "elements"), [FAILED, ELEMENT_FAILED, ARRAY_FAILED]),
    ],
)
def test_a_target_is_told_of_what_it_wants(
    on: tuple[str, ...], wanted: list[PublishedEvent]
) -> None:
    target = NotifyTarget(mail="me", on=on)
    assert [each for each in ALL if wanting(each, [target])] == [
        each for each in ALL if each in wanted or each is TEST
    ]


@pytest.mark.parametrize(
    ("keys", "target", "why"),
    [
        ({"webhooks": False}, NotifyTarget(webhook=URL), "webhooks are switched off"),
        ({"mail": False}, NotifyTarget(mail="me"), "mails are switched off"),
        ({}, NotifyTarget(webhook="http://example.org/"), "needs https"),
        ({}, NotifyTarget(mail="bob@example.org"), "mail_domains"),
        (
            {"mail_domains": ("example.org",)},
            NotifyTarget(mail="b@sub.example.org"),
            "mail_domains",
        ),
        ({}, NotifyTarget(webhook="nonsense-secret"), "must begin with"),
    ],
)
def test_what_the_admin_does_not_allow_is_refused(
    keys: dict[str, Any], target: NotifyTarget, why: str
) -> None:
    with pytest.raises(UserError, match=why) as raised:
        check_jobs(NotifyTable(**keys), [JobSpec("a", "b", notify=(target,))])
    assert "secret" not in str(raised.value)


def test_what_is_allowed_passes() -> None:
    table = NotifyTable(mail_domains=("Example.ORG",), http=True)
    check_allowed(table, [NotifyTarget(mail="bob@example.org"), NotifyTarget(mail="me")])
    check_allowed(table, [NotifyTarget(webhook="http://example.org/")])
    assert not check_jobs(table, [JobSpec("a", "b"), JobSpec("a", "b", notify=())])
    assert check_jobs(table, [JobSpec("a", "b", notify=(NotifyTarget(mail="me"),))])


def test_it_is_told_if_the_web_service_does_not_fetch_what_users_asked_for() -> None:
    now = [0.0]
    watch = NotifyWatch(lambda: now[0])
    assert watch.problem() is None, "nobody has looked for targets"
    watch.wanted = True
    assert watch.problem() is None, "a new daemon waits for it"
    now[0] = PATIENCE_SECONDS + 1
    assert "`launch web`" in (watch.problem() or "")
    assert notifications.check(watch).state == "warning"
    with watch.asked():
        now[0] += 1000.0
        assert watch.problem() is None, "it waits for the next one"
    assert watch.problem() is None
    assert notifications.check(watch).state == "ok"
    now[0] += PATIENCE_SECONDS + 1
    assert watch.problem() is not None
    watch.wanted = False
    assert watch.problem() is None
