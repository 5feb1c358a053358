"""Whether users can mount what they may open."""

from __future__ import annotations

from launcher.daemon.doctor.finding import Finding, ok, warning
from launcher.errors import LauncherError
from launcher.mount_helper import Pins

NAME = "mounts"


def check(pins: Pins, *, needed: bool) -> list[Finding]:
    """Check the helper; not ``needed`` by a daemon whose only user has Docker anyway."""
    if not needed:
        return [
            ok(NAME, "paths are mounted directly: the daemon's user has access to Docker anyway")
        ]
    try:
        trouble = pins.ping().trouble
    except LauncherError as away:
        trouble = away.message
    if trouble is None:
        return [ok(NAME, "users can mount what they may open")]
    fix = "Jobs without mounts still run; mounts need root, CAP_SYS_ADMIN and Linux 5.12."
    return [warning(NAME, f"users cannot mount anything: {trouble}", fix)]
