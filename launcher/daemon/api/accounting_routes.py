"""The routes for accounting: what jobs used in a period, together or one by one; advice on that."""

from __future__ import annotations

import grp
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launcher import wire
from launcher.core.jobs.pruning import seconds_of_day
from launcher.core.model.job import wall_of
from launcher.core.model.use import Capacity, UsageSum, integral, percentile
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.query_params import moment, number, page_size, text
from launcher.daemon.api.route import Access, get
from launcher.daemon.loop import clock
from launcher.daemon.loop.threads import in_thread
from launcher.daemon.users.identity import Caller
from launcher.errors import NotAllowed, UserError
from launcher.store import Reader
from launcher.store.accounting import BY, Period, Usage

DEFAULT_SECONDS = 7 * 86400
HOUR = 3600.0
PRIVATE = ("image", "name")
"""Others do not see these of a user's jobs."""
MOST_GROUPS = 1000
"""Further groups are one: those with the least use, or the earliest days."""
REST = "(rest)"
FAILURES = frozenset({"FAILED", "TIMEOUT", "OUT_OF_MEMORY", "LOST"})


async def usage(
    context: Context, caller: Caller, *, since: int | None, until: int | None, by: str | None
) -> wire.UsageReport:
    """Return what jobs used: by image or name only the caller's, unless they are an admin."""
    by = by or "user"
    if by not in BY:
        raise UserError(f"by={by}: unknown; known are {', '.join(BY)}")
    period = _period(since, until)
    uid = caller.uid if by in PRIVATE and not caller.admin else None
    found = await context.committer.read_slowly(Reader.usage, period, by, uid)
    if by == "group":
        found.groups = await context.users.run(caller.uid, _by_group_name, found.groups)
    return await in_thread("usage", lambda: report_of(found, by, own=uid is not None))


def _period(since: int | None, until: int | None) -> Period:
    """Return the time that is asked about; raises ``UserError`` if it is empty."""
    now = clock.now().wall
    end = min(now, float(until)) if until is not None else now
    start = float(since) if since is not None else end - DEFAULT_SECONDS
    if not 0 <= start < end:
        raise UserError(
            f"the period from {clock.rfc3339(start)} to {clock.rfc3339(end)} is empty",
            fix="since must be before until, and in the past.",
        )
    return Period(start, end, now)


def _by_group_name(sums: dict[str, UsageSum]) -> dict[str, UsageSum]:
    result: dict[str, UsageSum] = {}
    for gid, each in sums.items():
        result.setdefault(_group_name(int(gid)), UsageSum()).add(each)
    return result


def _group_name(gid: int) -> str:
    try:
        return "(unknown)" if gid < 0 else grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def report_of(found: Usage, by: str, *, own: bool) -> wire.UsageReport:
    """Return the report of a period; ``own``: ``found`` has the caller's jobs alone."""
    total, period = UsageSum(), found.period
    for each in found.groups.values():
        total.add(each)
    ordered = _days(found.groups) if by == "day" else _by_use(found.groups)
    capacity = integral(found.capacity, period.since, period.until)
    groups = [_view(key, each, _share(found, by, key, each, capacity)) for key, each in ordered]
    known = _is_known(capacity, period)
    share = total.gib_seconds / capacity.gib_seconds if known else None
    return wire.UsageReport(
        since=clock.rfc3339(period.since),
        until=clock.rfc3339(period.until),
        by=by,
        groups=groups,
        total=_view(None, total, share),
        capacity_gib_hours=capacity.gib_seconds / HOUR if known else None,
        idle_share=max(0.0, 1.0 - share) if share is not None and not own else None,
        own=own,
        whole_days=found.whole_days,
    )


def _days(groups: Mapping[str, UsageSum]) -> list[tuple[str, UsageSum]]:
    """Return the days in order, those before the last ones as one."""
    ordered = sorted(groups.items())
    earlier, last = ordered[:-MOST_GROUPS], ordered[-MOST_GROUPS:]
    return [*_together(earlier), *last]


def _by_use(groups: Mapping[str, UsageSum]) -> list[tuple[str, UsageSum]]:
    """Return the groups with the most use first, those with the least as one."""
    ordered = sorted(
        groups.items(), key=lambda item: (-item[1].gib_seconds, -item[1].slot_seconds, item[0])
    )
    return [*ordered[:MOST_GROUPS], *_together(ordered[MOST_GROUPS:])]


def _together(groups: Sequence[tuple[str, UsageSum]]) -> Iterator[tuple[str, UsageSum]]:
    """Yield the sum of groups, if there are any."""
    if groups:
        rest = UsageSum()
        for _, each in groups:
            rest.add(each)
        yield REST, rest


def _share(found: Usage, by: str, key: str, sums: UsageSum, capacity: Capacity) -> float | None:
    """Return a group's part of the capacity: of its profile, of its day, or of the whole."""
    period = found.period
    if key == REST and by in ("profile", "day"):
        return None
    if by == "profile":
        capacity = integral(found.capacity, period.since, period.until, key)
        used, available = sums.slice_seconds, capacity.slice_seconds
    else:
        if by == "day":
            midnight = seconds_of_day(key)
            start, end = max(period.since, midnight), min(period.until, midnight + 86400)
            period = Period(start, end, period.now)
            capacity = integral(found.capacity, start, end)
        used, available = sums.gib_seconds, capacity.gib_seconds
    return used / available if _is_known(capacity, period) else None


def _is_known(capacity: Capacity, period: Period) -> bool:
    """Whether the capacity is recorded for the whole period, and was not zero."""
    seconds = period.until - period.since
    return capacity.gib_seconds > 0 and capacity.known_seconds >= seconds * 0.999


def _view(key: str | None, sums: UsageSum, share: float | None) -> wire.UsageView:
    p50, p90, p99 = (percentile(sums.waits, part) for part in (0.5, 0.9, 0.99))
    return wire.UsageView(
        key=key,
        slice_hours=sums.slice_seconds / HOUR,
        gib_hours=sums.gib_seconds / HOUR,
        slot_hours=sums.slot_seconds / HOUR,
        share=share,
        jobs=sum(sums.ends.values()),
        running=sums.running,
        failed=sum(n for (outcome, _), n in sums.ends.items() if outcome in FAILURES),
        ends={" ".join(filter(None, cause)): n for cause, n in sorted(sums.ends.items())},
        wait_p50=p50,
        wait_p90=p90,
        wait_p99=p99,
    )


async def jobs(
    context: Context,
    caller: Caller,
    *,
    since: int | None,
    until: int | None,
    after: int | None,
    most: int,
    user: str | None,
) -> list[wire.JobUsage]:
    """Return what jobs used that ran in a period: the caller's, or for an admin everybody's."""
    period = _period(since, until)
    uid, name = _whose(caller, user)
    read = context.committer.read_slowly
    rows = await read(Reader.jobs_used, period, after or 0, most, uid=uid, user=name)
    return [_job(row) for row in rows]


def _job(row: dict[str, Any]) -> wire.JobUsage:
    started, ended = wall_of(row["started_at"]), wall_of(row["ended_at"])
    element = {"id": row["array_id"], "index": row["array_index"]}
    cpus, memory = row["cpus"], row["mem_limit"]
    return wire.JobUsage(
        **{name: row[name] for name in _AS_STORED},
        array=element if row["array_id"] is not None else None,
        attempts=row["attempt"],
        submitted_at=clock.rfc3339(row["submitted_at"]),
        wait_seconds=max(0.0, row["granted_at"] - row["submitted_at"]),
        run_seconds=None if started is None or ended is None else max(0.0, ended - started),
        held_seconds=row["held"] or 0.0,
        memory_limit=memory if isinstance(memory, int) else None,
        cpu_limit=float(cpus) if isinstance(cpus, int | float) else None,
        slice_memory_mib=row["slice_mib"],
    )


_AS_STORED = (
    "id", "user", "name", "image", "state", "outcome", "reason", "exit_code", "profile", "slices",
    "started_at", "ended_at", "time_limit", "memory_peak_bytes", "cpu_seconds",
    "gpu_memory_peak_mib", "gpu_activity_percent", "read_bytes", "written_bytes",
)  # fmt: skip


async def advice(context: Context, caller: Caller, *, user: str | None) -> list[wire.AdviceView]:
    """Return advice on the caller's ended jobs; for an admin on those of all users, or of one."""
    uid, name = _whose(caller, user)
    return await context.adviser.on_users(caller.uid, uid=uid, user=name)


def _whose(caller: Caller, user: str | None) -> tuple[int | None, str | None]:
    """Return whose jobs a request means: a uid, a user by name, or neither for those of all."""
    if user in ("me", caller.owner.name) or (user is None and not caller.admin):
        return caller.uid, None
    if not caller.admin:
        raise NotAllowed(f"only an admin may see what the jobs of {user} used")
    return None, user


SINCE = moment("since", "From this time on (seconds since 1970); without it the last 7 days.")
UNTIL = moment("until", "Until this time (seconds since 1970); without it until now.")
GROUP_BY = text("by", "user, group, profile, image, name or day; image and name: your own jobs.")

AFTER = number("after", "Only jobs with a higher id: the last one of the page before.")
OF_USER = text("user", "As an admin: only the jobs of this user; `me` for one's own.")

ROUTES = (
    get("/v1/usage", usage, wire.UsageReport, SINCE, UNTIL, GROUP_BY, costly=True),
    get(
        "/v1/usage/jobs",
        jobs,
        list[wire.JobUsage],
        SINCE,
        UNTIL,
        AFTER,
        OF_USER,
        page_size(1000, 1000),
        access=Access.USER,
        costly=True,
    ),
    get("/v1/advice", advice, list[wire.AdviceView], OF_USER, access=Access.USER, costly=True),
)
