"""``launch usage`` against an independent sum over the leases, also after a prune."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime

import pytest

from launcher.core.messages.changes import Changes, HistoryLine
from launcher.core.model.gpu import Slice
from launcher.core.model.job import Job, Outcome, Reason, State
from launcher.core.model.lease import Lease
from launcher.core.model.use import integral, percentile
from launcher.spec.gpus import GpuRequest
from launcher.store import Reader, Store, rollups
from launcher.store.accounting import BY, Period
from tests.support.builders import ALICE, BOB, mig
from tests.unit.store.worlds import AT, attempt_of, changes, done, job

DAY = 86400.0
BEGIN = 20_833 * DAY
NOW = BEGIN + 10 * DAY
SLICES = [mig(0), mig(1, "2g.12gb"), mig(2, gpu="GPU-b")]
OUTCOMES = [Outcome.COMPLETED, Outcome.FAILED, Outcome.TIMEOUT]


def text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def day(at: float) -> str:
    return text(at)[:10]


class History:
    """Jobs one after the other on each slice, with one to three attempts, and what they used."""

    def __init__(self, store: Store, seed: int) -> None:
        self.draw, self.store = random.Random(seed), store
        self.leases: list[tuple[Job, Lease]] = []
        self.jobs: list[tuple[Job, float, float]] = []
        self.number = 0
        for slice_ in SLICES:
            at = BEGIN + self.draw.uniform(0, DAY)
            while at < NOW:
                at = self._job(slice_, at)

    def _job(self, slice_: Slice, at: float) -> float:
        draw = self.draw
        self.number += 1
        submitted = at - draw.choice((0.5, 12, 345, 6789, 123_456))
        base = done(
            self.number, outcome=draw.choice(OUTCOMES), owner=draw.choice((ALICE, BOB)),
            name=draw.choice("abc"), submitted_at=submitted, slices=(slice_.uuid,), attempt=1,
        )  # fmt: skip
        image = dataclasses.replace(base.image, reference=draw.choice(("x:1", "y:2")))
        base = dataclasses.replace(base, image=image)
        if base.outcome is Outcome.FAILED and draw.random() < 0.5:
            base = dataclasses.replace(base, reason=Reason.IMAGE_GONE)
        attempts, leases, first = [], [], at
        for number in range(1, draw.randint(1, 3) + 1):
            end = at + draw.choice((1.25, 600, DAY / 3, 2.5 * DAY))
            one = dataclasses.replace(base, attempt=number)
            ended = None if end >= NOW else text(end - 0.25)
            attempts.append(dataclasses.replace(attempt_of(one), granted_at=at, ended_at=ended))
            leases.append(Lease(one.id, number, slice_, at, None if end >= NOW else end))
            if end >= NOW:
                base = job(
                    base.id, state=State.RUNNING, owner=base.owner, name=base.name,
                    image=image, submitted_at=submitted, slices=base.slices, attempt=number,
                )  # fmt: skip
                break
            at = end + draw.uniform(0, 100)
        if base.state is State.DONE:
            base = dataclasses.replace(base, attempt=number, ended_at=ended)
            self.jobs.append((base, end - 0.25, first - submitted))
        history = (HistoryLine(base.id, min(end, NOW), "SlicesIdle", ""),)
        found = changes(
            new=(base,), attempts=tuple(attempts), leases=tuple(leases), history=history
        )
        self.store.commit(found)
        self.leases += [(base, lease) for lease in leases]
        return max(at, end)


def key_of(by: str, one: Job, profile: str) -> str | None:
    keys = {
        "user": one.owner.name, "group": str(one.owner.gid), "profile": profile,
        "image": one.image.reference, "name": one.name, "day": None,
    }  # fmt: skip
    return keys[by]


def seconds_by(history: History, by: str, period: Period) -> dict[str, float]:
    result: dict[str, float] = defaultdict(float)
    for one, lease in history.leases:
        at = max(lease.granted_at, period.since)
        end = min(lease.released_at or period.now, period.until)
        while at < end:
            midnight = (at // DAY + 1) * DAY
            upto = min(midnight, end)
            result[key_of(by, one, lease.slice.profile) or day(at)] += upto - at
            at = upto
    return dict(result)


def ends_by(history: History, by: str, period: Period) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for one, ended, _ in history.jobs:
        if period.since <= ended < period.until:
            profile = next(s.profile for s in SLICES if s.uuid in one.slices)
            counted[key_of(by, one, profile) or day(ended)] += 1
    return dict(counted)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_sums_are_those_of_the_leases_before_and_after_the_jobs_are_deleted(
    store: Store, reader: Reader, by: str, seed: int
) -> None:
    history = History(store, seed)
    whole = Period(BEGIN, NOW, NOW)
    part = Period(BEGIN + 2.3 * DAY, BEGIN + 5.1 * DAY, NOW)
    days = Period(BEGIN + 2 * DAY, BEGIN + 6 * DAY, NOW)
    expected = seconds_by(history, by, whole), ends_by(history, by, whole)
    in_days = seconds_by(history, by, days), ends_by(history, by, days)
    in_part = seconds_by(history, by, part), ends_by(history, by, part)

    def found(period: Period) -> tuple[dict[str, float], dict[str, int]]:
        groups = reader.usage(period, by).groups
        seconds = {key: sums.slice_seconds for key, sums in groups.items() if sums.slice_seconds}
        ends = {key: sums.ends.total() for key, sums in groups.items() if sums.ends}
        return seconds, ends

    for period, (seconds, ends) in ((whole, expected), (part, in_part)):
        assert found(period) == (pytest.approx(seconds, abs=0.01), ends)
    waits = reader.usage(whole, by)
    ended = [one.id for one, _, _ in history.jobs]
    for half in (ended[::2], ended[1::2]):
        store.commit(Changes(pruned=dict.fromkeys(half, NOW)))
        seconds, ends = found(whole)
        assert seconds == pytest.approx(expected[0], abs=0.01)
        assert ends == expected[1]
        for period in (part, days):
            assert found(period) == (pytest.approx(in_days[0], abs=0.01), in_days[1])
            assert reader.usage(period, by).period == days
    later = reader.usage(whole, by)
    assert {k: s.waits for k, s in later.groups.items() if s.waits} == {
        k: s.waits for k, s in waits.groups.items() if s.waits
    }
    assert {k: s.ends for k, s in later.groups.items() if s.ends} == {
        k: s.ends for k, s in waits.groups.items() if s.ends
    }
    assert {k: s.gib_seconds for k, s in later.groups.items()} == pytest.approx(
        {k: s.gib_seconds for k, s in waits.groups.items()}
    )
    assert (waits.whole_days, later.whole_days) == (False, False), "it began and ended at midnight"
    assert reader.usage(part, by).whole_days


def test_waiting_times_are_known_to_two_digits(store: Store, reader: Reader) -> None:
    history = History(store, 4)
    (sums,) = [reader.usage(Period(BEGIN, NOW, NOW), "group").groups[str(ALICE.gid)]]
    exact = sorted(wait for _, _, wait in history.jobs)
    for share in (0.5, 0.9, 0.99):
        rank = exact[max(0, -(-len(exact) * int(share * 100) // 100) - 1)]
        found = percentile(sums.waits, share)
        assert found is not None
        assert found <= rank < found * 1.1 + 1


def test_a_users_own_sums_are_theirs_alone(store: Store, reader: Reader) -> None:
    history = History(store, 5)
    whole = Period(BEGIN, NOW, NOW)
    own = reader.usage(whole, "user", BOB.uid).groups
    assert list(own) == ["bob"]
    assert own["bob"].slice_seconds == pytest.approx(seconds_by(history, "user", whole)["bob"])
    assert own["bob"].running == reader.usage(whole, "user").groups["bob"].running


def test_a_cpu_job_counts_by_its_slots_until_its_container_ended(
    store: Store, reader: Reader
) -> None:
    one = done(1, need=GpuRequest("none", count=3), attempt=1, slices=(), ended_at=text(BEGIN + 20))
    attempt = dataclasses.replace(attempt_of(one), granted_at=BEGIN, ended_at=text(BEGIN + 20))
    going = job(2, need=GpuRequest("none", count=2), attempt=1, slices=(), state=State.RUNNING)
    begun = dataclasses.replace(attempt_of(going), granted_at=NOW - 5)
    store.commit(changes(new=(one, going), attempts=(attempt, begun)))
    whole = Period(BEGIN, NOW, NOW)
    for _ in range(2):
        cpu = reader.usage(whole, "profile").groups["cpu"]
        assert (cpu.slot_seconds, cpu.running) == (pytest.approx(70.0, abs=0.01), 1)
        assert cpu.ends == {("COMPLETED", ""): 1}
        store.commit(Changes(pruned={1: NOW}))


def test_what_ended_before_it_was_granted_by_the_clock_counts_nothing(
    store: Store, reader: Reader
) -> None:
    on_slice, on_cpu = done(1, attempt=1), done(2, need=GpuRequest("none"), attempt=1, slices=())
    early = text(BEGIN + 50)
    attempts = [
        dataclasses.replace(attempt_of(one), granted_at=BEGIN + 100, ended_at=early)
        for one in (dataclasses.replace(on_slice, slices=(mig(0).uuid,)), on_cpu)
    ]
    lease = Lease(1, 1, mig(0), BEGIN + 100, BEGIN + 50)
    store.commit(changes(new=(on_slice, on_cpu), attempts=tuple(attempts), leases=(lease,)))
    whole = Period(BEGIN, NOW, NOW)
    for by in BY:
        found = reader.usage(whole, by).groups.values()
        assert {(s.slice_seconds, s.gib_seconds, s.slot_seconds) for s in found} == {(0, 0, 0)}
    assert {row["held"] for row in reader.jobs_used(whole, 0, 10)} == {0, None}


def test_a_cpu_job_that_waits_after_a_failed_start_uses_nothing(
    store: Store, reader: Reader
) -> None:
    waiting = job(1, need=GpuRequest("none"), attempt=1, slices=())
    store.commit(changes(new=(waiting,), attempts=(attempt_of(waiting),)))
    assert reader.usage(Period(0.0, AT + DAY, AT + DAY), "user").groups == {}


def test_the_pause_before_a_retry_does_not_shorten_the_wait_for_the_first_attempt(
    store: Store, reader: Reader
) -> None:
    ended = text(BEGIN + 9500)
    one = done(1, attempt=2, submitted_at=BEGIN, begin=BEGIN + 9000, slices=(), ended_at=ended)
    grants = {1: BEGIN + 7200, 2: BEGIN + 9000}
    attempts = tuple(
        dataclasses.replace(
            attempt_of(dataclasses.replace(one, attempt=number)), granted_at=at, ended_at=ended
        )
        for number, at in grants.items()
    )
    store.commit(changes(new=(one,), attempts=attempts))
    for _ in range(2):
        (sums,) = reader.usage(Period(BEGIN, NOW, NOW), "user").groups.values()
        assert sums.waits == {7200: 1}
        store.commit(Changes(pruned={1: NOW}))


def test_a_job_whose_end_is_unknown_is_among_those_that_ran(store: Store, reader: Reader) -> None:
    lost = done(1, attempt=1, outcome=Outcome.LOST, slices=(mig(0).uuid,))
    attempt = dataclasses.replace(attempt_of(lost), granted_at=BEGIN)
    lease = Lease(1, 1, mig(0), BEGIN, BEGIN + 3600)
    history = (HistoryLine(1, BEGIN + 3600, "SlicesIdle", ""),)
    store.commit(changes(new=(lost,), attempts=(attempt,), leases=(lease,), history=history))
    (row,) = reader.jobs_used(Period(BEGIN, NOW, NOW), 0, 10)
    assert (row["id"], row["held"]) == (1, 3600)
    assert reader.jobs_used(Period(BEGIN + DAY, NOW, NOW), 0, 10) == []


def test_a_user_cannot_fill_the_roll_ups_with_names(
    store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "MOST_NAMES", 3)
    store.commit(changes(new=tuple(done(n, name=f"n{n}") for n in range(1, 9))))
    store.commit(Changes(pruned=dict.fromkeys(range(1, 5), NOW)))
    store.commit(Changes(pruned=dict.fromkeys(range(5, 9), NOW)))
    period = Period(0, 2e9, 2e9)
    found = {key: s.ends.total() for key, s in reader.usage(period, "name").groups.items()}
    assert found == {"n1": 1, "n2": 1, "n3": 1, rollups.OTHER: 5}


def test_the_capacity_is_a_series_of_changes_and_begins_with_the_last_before_the_period(
    store: Store, reader: Reader
) -> None:
    for at, slices in ((0.0, {"1g.6gb": (4, 24576)}), (100.0, {}), (200.0, {"full": (1, 24576)})):
        store.commit(Changes(capacity=(at, slices)))
    steps = reader.usage(Period(50, 250, 300), "user").capacity
    assert [at for at, _ in steps] == [0.0, 100.0, 200.0]
    assert integral(steps, 50, 250).slice_seconds == 50 * 4 + 50
    assert integral(steps, 50, 250, "full").gib_seconds == 50 * 24
    assert integral(steps[1:], 50, 250).known_seconds == 150


def test_a_change_of_the_capacity_replaces_those_that_the_clock_had_put_after_it(
    store: Store, reader: Reader
) -> None:
    for at, slices in ((0.0, {"a": (1, 1)}), (200.0, {}), (100.0, {"b": (1, 1)})):
        store.commit(Changes(capacity=(at, slices)))
    assert reader.usage(Period(0, 300, 300), "user").capacity == [
        (0.0, {"a": (1, 1)}),
        (100.0, {"b": (1, 1)}),
    ]
    assert reader.usage(Period(150, 300, 300), "user").capacity == [(100.0, {"b": (1, 1)})]


def test_only_so_many_changes_of_the_capacity_are_kept(store: Store) -> None:
    store.commit(Changes(capacity=(1.0, {})))
    store._db.execute("INSERT INTO capacity (seq, at, slices) VALUES (100000, 2.0, '{}')")
    store.commit(Changes(capacity=(3.0, {})))
    found = [row["at"] for row in store._db.execute("SELECT at FROM capacity ORDER BY seq")]
    assert found == [2.0, 3.0]
