"""Targets of users, tests of them, and failures: what one decision writes."""

from __future__ import annotations

from launcher.core.dispatch import handle
from launcher.core.messages import events as ev
from launcher.core.messages.changes import NotifyFailed
from launcher.core.messages.published import EventType
from launcher.spec.notify import NotifyTarget
from tests.support.builders import ALICE, Machine

MAIL = NotifyTarget(mail="me")


def test_a_user_s_targets_take_the_place_of_the_earlier_ones() -> None:
    m = Machine()
    for targets in ((MAIL,), (MAIL, MAIL), ()):
        assert handle(m.world, ev.NotifyAsked(ALICE, targets), m.time) == []
        assert m.world.changes.notify_targets == {ALICE: targets}


def test_a_test_is_an_event_of_its_user() -> None:
    m = Machine()
    handle(m.world, ev.NotifyTestAsked(ALICE), m.time)
    (event,) = m.world.changes.events
    assert (event.type, event.uid, event.user) == (EventType.NOTIFY_TEST, ALICE.uid, ALICE.name)


def test_failures_are_recorded_with_their_time() -> None:
    m = Machine()
    failures = ((ALICE.uid, 7, "mail to me", "why"), (ALICE.uid, None, "https://x/…", "why"))
    handle(m.world, ev.NotifyReported(failures), m.time)
    assert m.world.changes.notify_failures == [
        NotifyFailed(m.time.wall, *each) for each in failures
    ]
