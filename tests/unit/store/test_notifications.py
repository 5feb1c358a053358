"""Events with their targets: of jobs, arrays and users; and what could not be sent."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from launcher.core.messages.changes import Changes, NotifyFailed
from launcher.core.messages.published import EventType, PublishedEvent
from launcher.core.model.arrays import Array, ArrayTemplate
from launcher.core.model.job import Element, Owner
from launcher.daemon.requests import convert
from launcher.spec.job_spec import JobSpec
from launcher.spec.notify import NotifyTarget
from launcher.store import Reader, Store, notifications
from tests.support.builders import ALICE
from tests.unit.store.worlds import AT, job

HOOK = NotifyTarget(webhook="https://hooks.example.org/secret", on=("start", "failure"))
MAIL = NotifyTarget(mail="me")


def document(*targets: NotifyTarget, chosen: bool = True) -> str:
    return convert.document(JobSpec("a", "busybox", notify=targets if chosen else None))


def event(kind: EventType, number: int, owner: Owner = ALICE) -> PublishedEvent:
    return PublishedEvent(AT, kind, {"id": number}, owner.uid, owner.name)


def told(reader: Reader, after: int = 0, until: int = 10**6) -> list[Any]:
    return [
        (each.event.type, each.event.data.get("id"), each.targets)
        for each in notifications.told_between(reader, after, until)
    ]


def test_the_targets_of_a_job_or_its_array_come_with_its_events(
    store: Store, reader: Reader
) -> None:
    array = Array(10, ALICE, "many", 2)
    one = job(1)
    element = dataclasses.replace(job(11), element=Element(10, 0))
    store.commit(
        Changes(
            new_jobs=[(one, document(HOOK, MAIL)), (job(2), document(chosen=False)), (element, "")],
            arrays={10: (array, ArrayTemplate(document(MAIL), ()))},
            events=[
                event(EventType.JOB_SUBMITTED, 1),
                event(EventType.JOB_STARTED, 1),
                event(EventType.JOB_ENDED, 2),
                event(EventType.JOB_ENDED, 11),
                event(EventType.ARRAY_ENDED, 10),
                event(EventType.JOB_ENDED, 77),
            ],
        )
    )
    assert told(reader) == [
        (EventType.JOB_STARTED, 1, (HOOK, MAIL)),
        (EventType.JOB_ENDED, 11, (MAIL,)),
        (EventType.ARRAY_ENDED, 10, (MAIL,)),
    ]
    assert [each[1] for each in told(reader, 2, 4)] == [11]
    assert notifications.are_wanted(reader)


def test_a_user_s_targets_are_for_jobs_without_their_own(store: Store, reader: Reader) -> None:
    assert not notifications.are_wanted(reader)
    store.commit(
        Changes(
            new_jobs=[
                (job(1), document(chosen=False)),
                (job(2), document(MAIL)),
                (job(3), document()),
            ],
            notify_targets={ALICE: (HOOK,)},
            events=[event(EventType.JOB_ENDED, number) for number in (1, 2, 3)]
            + [event(EventType.NOTIFY_TEST, 2), event(EventType.JOB_ENDED, 1, Owner(7, 7, "b"))],
        )
    )
    assert told(reader) == [
        (EventType.JOB_ENDED, 1, (HOOK,)),
        (EventType.JOB_ENDED, 2, (MAIL,)),
        (EventType.NOTIFY_TEST, 2, (HOOK,)),
    ]
    assert notifications.targets_of(reader, ALICE.uid) == (HOOK,)
    assert notifications.are_wanted(reader)
    store.commit(Changes(notify_targets={ALICE: (MAIL,)}))
    assert notifications.targets_of(reader, ALICE.uid) == (MAIL,)
    store.commit(Changes(notify_targets={ALICE: ()}))
    assert notifications.targets_of(reader, ALICE.uid) == ()
    assert json.dumps([each[1] for each in told(reader)]) == "[2]"


def test_failures_are_stored_for_the_job_and_its_owner(store: Store, reader: Reader) -> None:
    many = [NotifyFailed(AT + n, ALICE.uid, 7, "mail to me", f"why {n}") for n in range(30)]
    other = NotifyFailed(AT, 5, None, "https://x/…", "HTTP status 404")
    store.commit(Changes(notify_failures=[*many, other]))
    assert notifications.failures_of_job(reader, [7, 8]) == many[-notifications.MOST_FAILURES :]
    assert notifications.failures_of_user(reader, 5) == [other]
    assert notifications.failures_of_job(reader, [9]) == []


def test_the_failures_of_an_array_are_those_of_its_elements_too(
    store: Store, reader: Reader
) -> None:
    element = dataclasses.replace(job(11), element=Element(10, 0))
    array = Array(10, ALICE, "many", 1)
    failures = [
        NotifyFailed(AT + n, ALICE.uid, of, "mail to me", f"why {n}")
        for n, of in enumerate((10, 11, 12, None))
    ]
    store.commit(
        Changes(
            new_jobs=[(element, ""), (job(12), document())],
            arrays={10: (array, ArrayTemplate(document(), ()))},
            notify_failures=failures,
        )
    )
    assert notifications.failures_of_array(reader, 10, ALICE.uid) == failures[:2]
    assert notifications.failures_of_array(reader, 10, 5) == []
