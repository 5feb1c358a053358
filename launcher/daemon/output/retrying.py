"""Loops that follow an attempt go on until they are answered: nobody else follows that job."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from launcher.daemon.loop import clock
from launcher.daemon.loop.logging_setup import about_event
from launcher.daemon.output.capture import Logged
from launcher.engine.outcome import Refused, Unknown
from launcher.errors import EngineUnavailable

T = TypeVar("T")

log = logging.getLogger(__name__)

LOOK_AGAIN = 0.5
AWAY = (EngineUnavailable, Unknown)


def insist(ask: Callable[[], T]) -> T:
    """Ask Docker, or the helper of host jobs, until it answers."""
    while True:
        try:
            return ask()
        except (*AWAY, Refused):
            clock.sleep(LOOK_AGAIN)


def until_done(action: Logged, work: Callable[[], None]) -> None:
    """Begin again where something unforeseen happened: nobody else follows this job."""
    while True:
        try:
            return work()
        except Exception:
            about_event(log, action).exception("following it failed, it is begun again")
            clock.sleep(LOOK_AGAIN)
