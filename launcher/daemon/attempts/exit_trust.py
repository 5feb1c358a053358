"""Whether Docker's word about an end can be believed.

dockerd tells an exit code also where it does not know one: of containers that it killed as it went
down (without live-restore; with it those that it was starting), of those whose containerd went with
it (255, and the time of its own restart), of those over whose end it was killed (0, and that time),
of those whose end it missed (either, and the time when it was made to look), of those that a reboot
ended. Such a code is ignored: the attempt is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from launcher.core.model.job import wall_of
from launcher.daemon.attempts.exit_witness import Witnessed
from launcher.daemon.loop import clock
from launcher.engine.containers import Container
from launcher.engine.dockerd_identity import DockerdIdentity

KILLED = (137, 143)
INIT_FAILED = 2
"""runc init is a Go program, whose runtime ends with 2: of a start that dockerd broke off."""
FORGOTTEN = 255
"""moby daemon.go, restore: "task not found" becomes this code."""
UNWRITTEN = 0
"""The same of one that containerd does not have any more: dockerd takes a container that ended out
of it before it writes the end down (monitor.go, handleContainerExit: Cleanup, then CheckpointTo).
"""
RESTORE_SECONDS = 60.0
"""dockerd restores its containers within this time after it starts."""
GOING_SECONDS = 20.0
"""The longest time a stopping dockerd takes (15 s by default) for containers whose start it was
still carrying out: it ends them although live-restore is on (moby daemon.go, Shutdown).
"""
TICK_SECONDS = 0.05
"""Precision of dockerd's start time. Exits before it are genuine."""
CLOCK_SECONDS = 1.0
"""How far the times that Docker and the kernel tell may be apart."""


SAME_MOMENT_SECONDS = 0.1
"""How far the end that containerd tells and the one that the kernel tells are apart at most."""


def is_genuine(container: Container, seen: Witnessed) -> bool:
    """Whether an exit code is the program's own: told by the kernel, or by containerd.

    containerd's has the kernel's time; one that Docker made up at its restart has not. Whether
    dockerd itself ended the program is another question (``why_lost``).
    """
    if container.exit_code in (*KILLED, INIT_FAILED):
        return False
    return seen.exit_code is not None or _apart(container, seen) <= SAME_MOMENT_SECONDS


def true_end(container: Container, seen: Witnessed) -> str | None:
    """Return when a container ended, RFC 3339: as the kernel says where Docker made it up."""
    if seen.exit_code is None or seen.at is None or _apart(container, seen) <= CLOCK_SECONDS:
        return container.finished_at
    return clock.rfc3339(seen.at)


def _apart(container: Container, seen: Witnessed) -> float:
    """Return by how many seconds Docker and the kernel tell another time of an end."""
    ended = wall_of(container.finished_at)
    return math.inf if ended is None or seen.at is None else abs(ended - seen.at)


def is_doubtful(container: Container) -> bool:
    """Whether an end is one that a dockerd that was restarted may have made up."""
    return container.exit_code in (*KILLED, INIT_FAILED, FORGOTTEN, UNWRITTEN) and not container.oom


def why_unknown(container: Container) -> str | None:
    """Return why a container that ran and does not run any more has no end, or None.

    Docker writes 0 where it has no exit code; what it does know has a time.
    """
    if not container.ever_started:
        return "Docker does not know any more that it ran"
    return "Docker does not know when it ended" if container.finished_at is None else None


def why_rebooted(container: Container) -> str | None:
    """Return why the end of a container that ran before the boot is not to be believed, or None.

    Its code is its own only with a finish time before the boot; 255 may be of a boot before that.
    One that runs, or began after the boot, did not run before it.
    """
    started, ended = wall_of(container.started_at), wall_of(container.finished_at)
    if container.running or (started is not None and started > clock.booted_at() + CLOCK_SECONDS):
        return None
    after_boot = ended is None or ended >= clock.booted_at() - CLOCK_SECONDS
    if after_boot or container.exit_code == FORGOTTEN:
        return "the machine was rebooted while it ran"
    return None


def why_missed(container: Container, missed: float) -> str | None:
    """Return why Docker's word about an end that it had missed is not to be believed, or None.

    ``missed``: when it was seen to have no process, so that a later end is made up: with 255, or by
    Docker 26 and newer with 0 (monitor.go, handleContainerExit: tsk.Delete failed).
    """
    ended = wall_of(container.finished_at)
    made_up = container.exit_code == UNWRITTEN and ended is not None and ended >= missed
    if container.exit_code == FORGOTTEN or made_up:
        return "Docker missed its end and does not know how it ended"
    return None


def why_lost(
    container: Container,
    seen: DockerdIdentity | None,
    now: DockerdIdentity | None,
    saw_end: Callable[[], bool],
) -> str | None:
    """Return why an end is not to be believed, None where it is.

    ``seen``: the dockerd under which the container was last seen running, or started; ``now``: the
    present one; ``saw_end`` tells whether that has an event of the end. Not told apart is a life
    between the two that made an end up and was over before anybody had looked.
    """
    ended, started = wall_of(container.finished_at), wall_of(container.started_at)
    if ended is None or started is None:
        return None
    if now is None or seen == now or started > now.started_at:
        return None
    code, after = container.exit_code, ended - now.started_at
    earliest = -TICK_SECONDS if code == UNWRITTEN else -CLOCK_SECONDS
    restored = earliest <= after <= RESTORE_SECONDS
    if restored and (code == FORGOTTEN or (code == UNWRITTEN and not saw_end())):
        return "Docker was restarted and does not know how it ended"
    if code not in (*KILLED, INIT_FAILED):
        return None
    if code in KILLED and not (seen or now).live_restore:
        return f"Docker was restarted without live-restore, and ended it (exit {code})"
    if ended <= now.started_at + CLOCK_SECONDS and ended - started <= GOING_SECONDS:
        return f"Docker was restarted as it began, and may have ended it (exit {code})"
    return None
