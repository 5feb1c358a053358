"""The wall clock: start times, priorities by age and all records depend on it."""

from __future__ import annotations

import ctypes
from datetime import UTC, datetime

from launcher.daemon.doctor.finding import Finding, ok, problem, warning

BUILD_YEAR = 2026
"""A year before this program was written means a wrong clock."""

_TIME_ERROR = 5
_TIMEX_BYTES = 1024  # more than sizeof(struct timex) on any architecture


def check(wall: float, synchronised: bool | None) -> Finding:
    """Check the clock; ``wall`` is seconds since 1970."""
    now = datetime.fromtimestamp(wall, UTC)
    text = f"it is {now:%Y-%m-%d %H:%M} UTC"
    if now.year < BUILD_YEAR:
        fix = "Set it: `timedatectl set-ntp true`, or `date -s` on a machine without a network."
        return problem("clock", f"{text}, before this program was written", fix)
    if synchronised is None:
        return ok("clock", f"{text}; unknown whether it is synchronised")
    if not synchronised:
        return warning(
            "clock",
            f"{text}; the kernel reports its clock as not synchronised",
            "Run a time service: `timedatectl set-ntp true`, or install chrony.",
        )
    return ok("clock", f"{text}, synchronised")


def synchronised() -> bool | None:
    """Return whether a time service synchronises the kernel's clock, None if unknown."""
    # A zeroed struct only reads the state.
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR
