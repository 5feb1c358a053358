"""Whether users can mount what they may open."""

from __future__ import annotations

from launcher.daemon.doctor.finding import Finding, ok, warning
from launcher.errors import LauncherError
from launcher.mount_helper import Pins

NAME = "mounts"


def check(pins: Pins, *, needed: bool) -> list[Finding]:
    """Ask the helper; not ``needed`` by a daemon whose only user has Docker anyway."""
    if not needed:
        return [ok(NAME, "paths are mounted as they are: who runs this daemon has Docker anyway")]
    try:
        trouble = pins.ping().trouble
    except LauncherError as away:
        trouble = away.message
    if trouble is None:
        return [ok(NAME, "what a user may open can be held in place for the user's container")]
    fix = "Jobs without mounts run all the same; mounts need root, CAP_SYS_ADMIN and Linux 5.12."
    return [warning(NAME, f"users cannot mount anything: {trouble}", fix)]
