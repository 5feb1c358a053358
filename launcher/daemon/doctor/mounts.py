"""Whether users can mount what they may open."""

from __future__ import annotations

from launcher.daemon.doctor.finding import Finding, ok, problem, warning
from launcher.daemon.mounts.homes import Homes
from launcher.errors import LauncherError
from launcher.mount_helper import Pins

NAME, HOMES = "mounts", "homes"
GIB = 2**30


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


def check_homes(homes: Homes) -> list[Finding]:
    """Check the directory of jobs' HOME and /tmp, without which no user's job starts."""
    try:
        size = homes.measure([], []).size
    except LauncherError as away:
        fix = away.fix or "Set homes_directory in launcher.toml to a directory of root's."
        return [problem(HOMES, f"users' jobs cannot start: {away.message}", fix)]
    text = f"HOME and /tmp of jobs are in {homes.directory}, on a file system of {size // GIB} GiB"
    return [ok(HOMES, text)]
