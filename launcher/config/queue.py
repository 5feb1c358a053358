"""The tables of launcher.toml about the queue: ``[queue]``, ``[fair_share]``, ``[quota]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.config.tables import Read, count, mapping, read, seconds, some_seconds
from launcher.core.policy.settings import FairShare, Quota, Settings
from launcher.errors import ConfigError

TABLES = ("queue", "fair_share", "quota")


def rules_from(tables: Mapping[str, Any], file: object) -> Settings:
    """Return the rules of these tables; raises ``ConfigError`` naming file, key and value."""
    queue = read(tables.get("queue", {}), _QUEUE, "queue", file)
    shares = read(tables.get("fair_share", {}), _FAIR_SHARE, "fair_share", file)
    quota = dict(mapping(tables.get("quota", {}), "quota", file))
    users, groups = (
        _named(quota.pop(name, {}), f"quota.{name}", file) for name in ("users", "groups")
    )
    default, most = queue.get("default_time_limit"), queue.get("max_time_limit")
    if default is not None and most is not None and default > most:
        raise ConfigError(
            f"{file}: queue.default_time_limit ({default:g} s) is above queue.max_time_limit "
            f"({most:g} s)"
        )
    unsatisfied = queue.pop("unsatisfied_dependency", "cancel")
    return Settings(
        fair_share=FairShare(**shares),
        hold_unsatisfied=unsatisfied == "hold",
        user_quota=_quota(quota, "quota", file),
        user_quotas=users,
        group_quotas=groups,
        **queue,
    )


def _quota(value: Any, where: str, file: object) -> Quota:
    return Quota(**read(value, _QUOTA, where, file))


def _named(value: Any, where: str, file: object) -> dict[str, Quota]:
    named = mapping(value, where, file)
    return {name: _quota(quota, f"{where}.{name}", file) for name, quota in named.items()}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise ValueError("it must be a number, 0 or more")
    return float(value)


def _shares(value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or not all(_number(share) > 0 for share in value.values()):
        raise ValueError("it must be { user = number, ... } with numbers above 0")
    return {name: float(share) for name, share in value.items()}


def _unsatisfied(value: Any) -> str:
    if value not in ("cancel", "hold"):
        raise ValueError("it must be 'cancel' or 'hold'")
    return str(value)


_QUEUE: dict[str, Read] = {
    "default_time_limit": some_seconds,
    "max_time_limit": some_seconds,
    "assumed_time_limit": some_seconds,
    "holdback_idle": some_seconds,
    "preempt_after": seconds,
    "unsatisfied_dependency": _unsatisfied,
}
_FAIR_SHARE: dict[str, Read] = {
    "half_life": some_seconds,
    "entry_charge": seconds,
    "cpu_slot_gib": _number,
    "shares": _shares,
}
_QUOTA: dict[str, Read] = {
    "running_slices": count,
    "running_gib": _number,
    "queued_jobs": count,
    "running_cpu_slots": count,
    "queued_bytes": count,
    "queued_kinds": count,
    "queued_dependencies": count,
    "log_bytes": count,
}
