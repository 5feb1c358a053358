"""What users' jobs used in the last days: a table, and a bar for each group."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from launcher import wire
from launcher.web.bounds import MOST_GROUPS_SHOWN

BY = ("user", "group", "profile", "day")
DAYS = (1, 7, 30, 90)
REST = "(others)"
DAY_SECONDS = 86400


def chosen(by: str | None, days: str | None) -> tuple[str, int]:
    """Return the grouping and the number of days of a query; what it does not know is replaced."""
    known = {str(each): each for each in DAYS}
    return by if by in BY else "user", known.get(days or "", 7)


def since(days: int) -> float:
    """Return when a period of so many days began, in seconds since 1970."""
    return time.time() - days * DAY_SECONDS


def values(report: wire.UsageReport) -> dict[str, Any]:
    """Return the values of the template; the smallest groups are one."""
    groups = report.groups
    if report.by == "day":
        groups = sorted(groups, key=lambda group: group.key or "", reverse=True)
    shown, rest = groups[:MOST_GROUPS_SHOWN], groups[MOST_GROUPS_SHOWN:]
    if rest:
        shown = [*shown, _together(rest)]
    most = max((group.gib_hours for group in shown), default=0.0) or 1.0
    widths = [100 * group.gib_hours / most for group in shown]
    return {
        "report": report,
        "rows": list(zip(shown, widths, strict=True)),
        "choices": BY,
        "periods": DAYS,
    }


def _together(groups: list[wire.UsageView]) -> wire.UsageView:
    """Return the sums of groups; percentiles cannot be summed up."""
    first = groups[0]
    return dataclasses.replace(
        first,
        key=REST,
        slice_hours=sum(group.slice_hours for group in groups),
        gib_hours=sum(group.gib_hours for group in groups),
        slot_hours=sum(group.slot_hours for group in groups),
        share=None,
        jobs=sum(group.jobs for group in groups),
        running=sum(group.running for group in groups),
        failed=sum(group.failed for group in groups),
        wait_p50=None,
        wait_p90=None,
        wait_p99=None,
    )
