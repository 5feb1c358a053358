"""Above a limit of disk space new starts wait; far above it a job ends."""

from __future__ import annotations

from launcher.core.dispatch import handle
from launcher.core.jobs.disk_use import judge
from launcher.core.messages import events as ev
from launcher.core.messages.actions import StopAttempt
from launcher.core.model.job import Outcome, State
from launcher.core.policy.settings import Policy, Quota, Settings
from launcher.core.scheduling.quota import exceeded
from tests.support.builders import ALICE, Machine, profile

GIB = 2**30


def machine(**rules: object) -> Machine:
    result = Machine()
    result.world.rules = Settings(policy=Policy(disk=10 * GIB), **rules)  # type: ignore[arg-type]
    return result


def test_a_job_above_its_limit_makes_its_users_next_starts_wait() -> None:
    m = machine()
    first, second = m.submit(profile()), m.submit(profile())
    m.run(first[0])
    event = judge(m.world, {first[0].id: 11 * GIB}, {}, 100 * GIB)
    assert event.ends == {}
    assert event.waits.keys() == {ALICE.uid}
    handle(m.world, event, m.time)
    refused = exceeded(m.world, second[0], ())
    assert refused is not None
    assert "have 11.0 GiB, the limit of a job is 10.0 GiB" in refused.have
    handle(m.world, judge(m.world, {first[0].id: 9 * GIB}, {}, 100 * GIB), m.time)
    assert exceeded(m.world, second[0], ()) is None


def test_a_job_far_above_its_limit_ends_with_the_reason() -> None:
    m = machine()
    (job,) = m.submit(profile())
    m.run(job)
    event = judge(m.world, {job.id: 21 * GIB}, {}, 100 * GIB)
    actions = handle(m.world, event, m.time)
    assert [type(a) for a in actions if isinstance(a, StopAttempt)] == [StopAttempt]
    assert handle(m.world, event, m.time) == [], "once"
    m.end(job, 143, idle=False)
    assert (job.state, job.outcome) == (State.COMPLETING, Outcome.CANCELLED)
    assert "more than 2 times the limit of 10.0 GiB" in (job.message or "")


def test_a_cache_has_a_limit_of_its_own_for_each_user() -> None:
    m = machine(user_quotas={ALICE.name: Quota(cache_bytes=5 * GIB)})
    m.submit(profile())
    event = judge(m.world, {}, {ALICE.uid: 6 * GIB, 4321: 6 * GIB, 4322: 26 * GIB}, 100 * GIB)
    assert event.waits.keys() == {ALICE.uid, 4322}, "others: a quarter of the file system"
    assert "launch clear-cache" in event.waits[ALICE.uid]


def test_an_event_about_a_job_that_is_over_changes_nothing() -> None:
    m = machine()
    assert judge(m.world, {77: 99 * GIB}, {}, 100 * GIB) == ev.DiskJudged({}, {})
    assert handle(m.world, ev.DiskJudged({}, {77: "why"}), m.time) == []
