"""What an admin sets for the queue: shares, quotas, limits. Read once, then frozen.

Every default is the one of a machine whose launcher.toml says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.core.policy.policy import Policy

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Quota:
    """How much one user, or all members of a group together, may have; None means no limit.

    ``running_gib`` counts the memory of the slices, ``running_cpu_slots`` those of CPU jobs,
    ``queued_bytes`` what waiting and running jobs take in the database, ``queued_kinds`` in how
    many ways they differ in their GPUs and time limits, ``queued_dependencies`` for how many others
    they wait in all, ``log_bytes`` what all logs take that are kept.
    """

    running_slices: int | None = None
    running_gib: float | None = None
    queued_jobs: int | None = None
    running_cpu_slots: int | None = None
    queued_bytes: int | None = None
    queued_kinds: int | None = None
    queued_dependencies: int | None = None
    log_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class FairShare:
    """How use counts: seconds, GiB, and the weight of a user by name (1 where not named).

    ``half_life``: after this time a use counts half. ``entry_charge``: a job that starts counts
    as if it had run that long, so that a burst cannot win before its use is seen.
    ``cpu_slot_gib``: what a job without a slice counts for.
    """

    half_life: float = 7 * DAY
    entry_charge: float = 60.0
    cpu_slot_gib: float = 1.0
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """The rules of one queue. Times are seconds.

    ``assumed_time_limit`` stands in where a job has none and somebody asks when it ends;
    ``holdback_idle`` is how long slices may idle for a waiting gang before others get a turn as
    long; ``preempt_after`` is how long a preemptible job runs undisturbed.
    """

    fair_share: FairShare = field(default_factory=FairShare)
    default_time_limit: float | None = None
    max_time_limit: float | None = None
    assumed_time_limit: float = 12 * HOUR
    holdback_idle: float = 12 * HOUR
    preempt_after: float = 600.0
    hold_unsatisfied: bool = False
    user_quota: Quota = field(default_factory=Quota)
    user_quotas: Mapping[str, Quota] = field(default_factory=dict)
    group_quotas: Mapping[str, Quota] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)

    def quota_of(self, user: str) -> Quota:
        """Return the quota of a user by name: the user's own, else the common one."""
        return self.user_quotas.get(user, self.user_quota)


DEFAULT_RULES = Settings()
"""The rules where launcher.toml says nothing."""
