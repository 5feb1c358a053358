"""Which notifications become deliveries, and which are summed up."""

from __future__ import annotations

import pytest

from launcher.spec.notify import NotifyTarget
from launcher.web.notify import bounds, messages
from launcher.web.notify.deliveries import Delivery
from launcher.web.notify.intake import Intake
from tests.support.plain_work import cost
from tests.unit.web.notify.made import HOOK, MAIL, notification


def test_each_target_gets_a_delivery_with_the_event_s_document() -> None:
    first, second = Intake(20).deliveries([notification(5, HOOK, MAIL)], {}, 10.0)
    assert (first.id, first.target, first.uid, first.job) == ("5.0", HOOK, 1000, 105)
    assert (second.id, second.target, second.due) == ("5.1", MAIL, 10.0)
    document = messages.document(first)
    assert document["text"] == "job 105 of alice: FAILED"
    assert document["title"] == "job 105 (train): FAILED"
    assert (document["version"], document["type"], document["seq"]) == (1, "job.ended", 5)
    assert len(document["job"]["slices"]) == bounds.MOST_SLICES


def test_what_is_above_the_limit_of_a_minute_is_summed_up() -> None:
    intake = Intake(20)
    made = intake.deliveries([notification(n) for n in range(1, 58)], {}, 100.0)
    *single, total = made
    assert [each.id for each in single] == [f"{n}.0" for n in range(1, 21)]
    assert (total.is_sum, total.more, total.due) == (True, 37, 160.0)
    document = messages.document(total)
    assert document["text"] == (
        "37 more notifications for alice; the last: job 157 of alice: FAILED"
    )
    assert (document["type"], document["more"], document["seq"]) == ("notify.more", 37, 57)
    waiting = {each.id: each for each in made}
    (again,) = intake.deliveries([notification(60)], waiting, 110.0)
    assert (again.id, again.more) == (total.id, 38)
    (fresh,) = intake.deliveries([notification(61)], waiting, 161.0)
    assert fresh.id == "61.0"


def test_a_single_one_above_the_limit_is_sent_later_as_it_is() -> None:
    *_, late = Intake(2).deliveries([notification(n) for n in (1, 2, 3)], {}, 100.0)
    assert (late.due, messages.document(late)["text"]) == (160.0, "job 103 of alice: FAILED")


def test_one_user_s_flood_takes_nothing_from_others() -> None:
    intake = Intake(20)
    flood = [notification(n) for n in range(1, 10_001)]
    made = intake.deliveries([*flood, notification(10_001, uid=1001)], {}, 0.0)
    assert cost(lambda: Intake(20).deliveries(flood, {}, 0.0), 2000) < 2000
    assert len(made) == 22
    assert [each.id for each in made if each.uid == 1001] == ["10001.0"]
    assert next(each.more for each in made if each.is_sum) == 9980


def test_a_flood_to_many_targets_has_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    hooks = [NotifyTarget(webhook=f"https://h{n}.example.org/secret") for n in range(50)]
    made = Intake(1).deliveries([notification(n, hook) for n, hook in enumerate(hooks)], {}, 0.0)
    assert len(made) == 1 + bounds.MOST_SUMS_OF_USER
    assert "above the limits" in caplog.text
    assert "secret" not in caplog.text


def test_a_user_whose_receiver_does_not_answer_has_few_deliveries_waiting() -> None:
    intake, waiting = Intake(20), dict[str, Delivery]()
    for minute in range(30):
        page = [notification(minute * 100 + n) for n in range(1, 21)]
        made = intake.deliveries(page, waiting, minute * 60.0)
        waiting |= {each.id: each for each in made}
    assert len(waiting) == bounds.MOST_WAITING_OF_USER + 1
    assert sum(max(each.more, 1) for each in waiting.values()) == 600


def test_a_clock_that_is_set_back_begins_a_new_minute() -> None:
    intake = Intake(1)
    intake.deliveries([notification(1)], {}, 1000.0)
    (made,) = intake.deliveries([notification(2)], {}, 10.0)
    assert not made.is_sum
