"""Named places at which a drill may end the process: around every commit and every change outside.

Nothing happens at them unless one is armed. ``LAUNCHER_CRASH_AT=create:after`` (or
``create:after#3`` for the third time it is passed) ends ``launch serve`` there by SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator

from launcher.errors import ConfigError

VARIABLE = "LAUNCHER_CRASH_AT"

_STEPS = ("secrets", "create", "start", "stop", "kill", "remove", "pull", "log", "log-end")
POINTS: tuple[str, ...] = (
    "commit:before",
    "commit:inside",
    "commit:after",
    "actions:before",
    *(f"{step}:{side}" for step in _STEPS for side in ("before", "after")),
)
"""Every point there is: a drill that does not reach all of them fails."""

_hook: Callable[[str], None] | None = None


def crashpoint(name: str) -> None:
    """Pass a point."""
    if _hook is not None:
        _hook(name)


@contextlib.contextmanager
def around(step: str) -> Iterator[None]:
    """Pass the points before and after a step; the second only where it was done."""
    crashpoint(f"{step}:before")
    yield
    crashpoint(f"{step}:after")


def arm(hook: Callable[[str], None] | None) -> None:
    """Have ``hook`` called with the name of every point that is passed; None: nothing."""
    global _hook  # noqa: PLW0603
    _hook = hook


def arm_from_environment() -> None:
    """End this process where ``LAUNCHER_CRASH_AT`` says; raises ``ConfigError`` for no such point.

    An unknown name would be a drill that drills nothing.
    """
    asked = os.environ.get(VARIABLE)
    if not asked:
        return
    name, _, count = asked.partition("#")
    if name not in POINTS:
        raise ConfigError(f"{VARIABLE}: there is no crash point {name!r}")
    passed: Counter[str] = Counter()

    def hook(point: str) -> None:
        passed[point] += 1
        if point == name and passed[point] == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)

    arm(hook)
