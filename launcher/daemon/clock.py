"""The time as the core wants it, and the machine's boot id. The only clock of the daemon."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from launcher.core.event import Now

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BOOT_ID_VARIABLE = "LAUNCHER_BOOT_ID_FILE"
"""Names another file, for rehearsing a reboot."""


def now() -> Now:
    """Return wall clock and CLOCK_BOOTTIME (which counts suspend), in seconds."""
    return Now(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))


def boot_id() -> str:
    """Return the kernel's boot id: it changes with every boot of the machine."""
    return Path(os.environ.get(BOOT_ID_VARIABLE, BOOT_ID)).read_text("ascii").strip()


def rfc3339(seconds: float) -> str:
    """Return seconds since 1970 as RFC 3339 with exactly six decimals and ``Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
