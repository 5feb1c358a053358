"""The tables of launcher.toml about the queue: what they mean, and what is said of a mistake."""

from __future__ import annotations

import pytest

from launcher.core.policy.settings import (
    DAY,
    DEFAULT_RULES,
    HOUR,
    FairShare,
    Policy,
    Quota,
    Settings,
)
from launcher.errors import ConfigError
from tests.support.toml import toml


def rules(text: str) -> Settings:
    return toml(text).rules(Policy())


def test_nothing_said_is_the_defaults() -> None:
    assert rules("") == DEFAULT_RULES


EXAMPLE = """
[queue]
default_time_limit = "24h"
max_time_limit = "7d"
unsatisfied_dependency = "hold"
[fair_share]
shares = { alice = 2 }
[quota]
running_slices = 4
running_gib = 40
queued_jobs = 10000
running_cpu_slots = 8
queued_bytes = 67108864
queued_kinds = 100
queued_dependencies = 20000
log_bytes = 21474836480
[quota.users.alice]
running_slices = 8
[quota.groups.students]
running_slices = 6
"""


def test_tables_are_read_and_what_they_do_not_say_is_the_default() -> None:
    read = rules(EXAMPLE)
    assert (read.default_time_limit, read.max_time_limit) == (24 * HOUR, 7 * DAY)
    assert read.unsatisfied_dependency == "hold"
    same = ("assumed_time_limit", "holdback_idle", "preempt_after")
    assert [getattr(read, n) for n in same] == [getattr(DEFAULT_RULES, n) for n in same]
    assert read.fair_share == FairShare(shares={"alice": 2.0})
    assert read.user_quota == Quota(4, 40.0, 10000, 8, 64 * 1024 * 1024, 100, 20_000, 20 * 1024**3)
    assert read.quota_of("alice") == Quota(running_slices=8)
    assert read.quota_of("bob") == read.user_quota
    assert read.group_quotas == {"students": Quota(running_slices=6)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[queue]\nmax_time_limit = 4", "queue.max_time_limit is 4: '4' has no unit"),
        ("[queue]\nmax_time_limit = '0s'", "must be more than 0"),
        ("[queue]\nmax_time = '4h'", "unknown key 'max_time' in [queue]"),
        ("[queue]\nunsatisfied_dependency = 'x'", "'cancel' or 'hold'"),
        ("[queue]\nmax_time_limit='1h'\ndefault_time_limit='24h'", "is above queue.max_time_limit"),
        ("[quota]\nrunning_gib = 1e400", "must be a finite number"),
        ("queue = 3", "queue is 3: it must be a table"),
        ("[fair_share]\nhalf_life = '7'", "has no unit"),
        ("[fair_share]\ncpu_slot_gib = -1", "0 or more"),
        (
            "[fair_share]\nshares = {alice = 0}",
            "fair_share.shares.alice is 0: it must be more than 0",
        ),
        ("[fair_share]\nshares = 3", "fair_share.shares is 3: it must be a table"),
        ("[quota]\nrunning_slices = 1.5", "a whole number"),
        ("[quota]\nqueued_bytes = '64m'", "quota.queued_bytes is '64m'"),
        ("[quota]\nrunning_gib = true", "must be a number"),
        ("[quota.users]\nalice = 3", "quota.users.alice is 3: it must be a table"),
        ("[quota.groups.x]\nqueued = 3", "unknown key 'queued' in [quota.groups.x]"),
    ],
)
def test_a_mistake_is_told_with_its_key_and_value(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        rules(text)
    assert words in str(refused.value)
    assert "launcher.toml" in str(refused.value)
