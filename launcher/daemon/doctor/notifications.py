"""Whether `launch web` fetches the notifications that users asked for."""

from __future__ import annotations

from launcher.daemon.doctor.finding import Finding, ok, warning
from launcher.daemon.requests.notify import NotifyWatch


def check(watch: NotifyWatch) -> Finding:
    """Check that notifications do not wait."""
    problem = watch.problem()
    if problem is None:
        return ok("notifications", "none waits for `launch web`")
    fix = "Run `systemctl enable --now launcher-web`; the last 100,000 events are kept for it."
    return warning("notifications", problem, fix)
