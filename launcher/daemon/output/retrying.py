"""Retries for the only follower of an attempt, which must continue until it gets a reply."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from launcher.daemon.loop import clock
from launcher.daemon.loop.logging_setup import about_event
from launcher.daemon.output.capture import Logged
from launcher.engine.outcome import Refused, Unknown
from launcher.errors import EngineUnavailable, LauncherError

T = TypeVar("T")

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 0.5
AWAY = (EngineUnavailable, Unknown)


def insist(call: Callable[[], T], waits: Callable[[LauncherError], None] = lambda _: None) -> T:
    """Call Docker, or the helper of host jobs, until it answers; ``waits`` gets each failure."""
    while True:
        try:
            return call()
        except (*AWAY, Refused) as away:
            waits(away)
            clock.sleep(LOOK_AGAIN_SECONDS)


def until_done(action: Logged, work: Callable[[], None]) -> None:
    """Start again after an unexpected error, because the job has no other follower."""
    while True:
        try:
            return work()
        except Exception:
            about_event(log, action).exception("following it failed, restarting")
            clock.sleep(LOOK_AGAIN_SECONDS)
