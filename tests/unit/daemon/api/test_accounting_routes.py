"""The report of ``launch usage``: its bounds, and shares of the capacity."""

from __future__ import annotations

import pytest

from launcher.core.jobs.pruning import day_of
from launcher.core.model.use import UsageSum
from launcher.daemon.api.accounting_routes import MOST_GROUPS, REST, report_of
from launcher.store.accounting import BY, Period, Usage

DAY = 86400.0


def found(keys: list[str], period: Period) -> Usage:
    """Each group had one GiB for an hour; the machine has a hundred GiB."""
    groups = {key: UsageSum(slice_seconds=3600.0, gib_seconds=3600.0) for key in keys}
    return Usage(period, groups, capacity=[(0.0, {"1g.6gb": (100, 102_400)})])


@pytest.mark.parametrize("by", BY)
def test_more_groups_than_a_report_has_are_one_whose_sum_is_in_the_total(by: str) -> None:
    number = MOST_GROUPS + 5
    period = Period(0.0, number * DAY, number * DAY)
    keys = (
        [day_of(n * DAY) for n in range(number)] if by == "day" else list(map(str, range(number)))
    )
    report = report_of(found(keys, period), by, own=False)
    assert len(report.groups) == MOST_GROUPS + 1
    assert sum(group.gib_hours for group in report.groups) == report.total.gib_hours == number
    (rest,) = [group for group in report.groups if group.key == REST]
    assert rest.gib_hours == 5


def test_of_very_many_days_the_last_ones_are_shown_in_order() -> None:
    days = [day_of(n * DAY) for n in range(MOST_GROUPS + 5)]
    period = Period(0.0, len(days) * DAY, len(days) * DAY)
    report = report_of(found(days, period), "day", own=False)
    assert [group.key for group in report.groups] == [REST, *days[5:]]
    assert report.groups[-1].share == pytest.approx(1 / 2400)
