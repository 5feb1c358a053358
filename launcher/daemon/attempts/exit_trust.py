"""Decides whether an exit that Docker reports can be believed.

dockerd reports an exit code even if it does not know one:

- of containers that it killed when it stopped (without live-restore; with it, those that were
  starting);
- of containers whose containerd stopped with it (255, and the time of its own restart);
- of containers that ended while it was being killed (0, and that time);
- of containers whose end it missed (either code, and the time when it next checked);
- of containers that a reboot ended.


Such a code is ignored: the attempt is lost.
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
"""runc init is a Go program, whose runtime exits with 2: a start that dockerd aborted."""
FORGOTTEN = 255
"""moby daemon.go, restore: "task not found" becomes this code."""
UNWRITTEN = 0
"""The same code for a container that containerd no longer has: dockerd removes an ended container
from it before it records the end (monitor.go, handleContainerExit: Cleanup, then CheckpointTo).
"""
RESTORE_SECONDS = 60.0
"""dockerd restores its containers within this time after it starts."""
GOING_SECONDS = 20.0
"""The longest time a stopping dockerd takes (15 s by default) for containers that it was still
starting: it ends them even with live-restore on (moby daemon.go, Shutdown).
"""
TICK_SECONDS = 0.05
"""Precision of dockerd's start time. Exits before it are genuine."""
CLOCK_SECONDS = 1.0
"""The times that Docker and the kernel report may differ by this much."""


SAME_MOMENT_SECONDS = 0.1
"""The times of an end that containerd and the kernel report differ by at most this much."""


def is_genuine(container: Container, seen: Witnessed) -> bool:
    """Whether an exit code is the program's own: reported by the kernel, or by containerd.

    containerd's code has the kernel's time; one that Docker invented has not. Whether
    dockerd itself ended the program is a separate question (``why_lost``).
    """
    if container.exit_code in (*KILLED, INIT_FAILED):
        return False
    return seen.exit_code is not None or _apart(container, seen) <= SAME_MOMENT_SECONDS


def true_end(container: Container, seen: Witnessed) -> str | None:
    """Return when a container ended, RFC 3339: the kernel's time if Docker invented its own."""
    if seen.exit_code is None or seen.at is None or _apart(container, seen) <= CLOCK_SECONDS:
        return container.finished_at
    return clock.rfc3339(seen.at)


def _apart(container: Container, seen: Witnessed) -> float:
    """Return the difference in seconds of Docker's and the kernel's end times."""
    ended = wall_of(container.finished_at)
    return math.inf if ended is None or seen.at is None else abs(ended - seen.at)


def is_doubtful(container: Container) -> bool:
    """Whether a restarted dockerd may have invented this end."""
    return container.exit_code in (*KILLED, INIT_FAILED, FORGOTTEN, UNWRITTEN) and not container.oom


def why_unknown(container: Container) -> str | None:
    """Return why a container that ran and has stopped has no known end, or None.

    Docker writes 0 if it has no exit code; an end that it knows has a time.
    """
    if not container.ever_started:
        return "Docker no longer has a record that it ran"
    return "Docker has no record of its end" if container.finished_at is None else None


def why_rebooted(container: Container) -> str | None:
    """Return why the end of a container that ran before the boot is not believed, or None.

    Its code is genuine only with a finish time before the boot; 255 may come from an earlier boot.
    A container that runs, or started after the boot, did not run before it.
    """
    started, ended = wall_of(container.started_at), wall_of(container.finished_at)
    if container.running or (started is not None and started > clock.booted_at() + CLOCK_SECONDS):
        return None
    after_boot = ended is None or ended >= clock.booted_at() - CLOCK_SECONDS
    if after_boot or container.exit_code == FORGOTTEN:
        return "the machine was rebooted while it ran"
    return None


def why_missed(container: Container, missed: float) -> str | None:
    """Return why Docker's report of an end that it had missed is not believed, or None.

    ``missed``: when the container was found without a process. A later end is invented: with 255,
    or by Docker 26 and newer with 0 (monitor.go, handleContainerExit: tsk.Delete failed).
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
    """Return why an end is not believed, None if it is.

    ``seen``: the dockerd under which the container last ran or was started; ``now``: the current
    one; ``saw_end``: whether the current one has an event of the end. One case is not detected: an
    intermediate dockerd that invented an end and was gone before it was observed.
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
        return f"Docker was restarted as it started, and may have ended it (exit {code})"
    return None
