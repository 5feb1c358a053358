"""Copying a container's log from Docker into its file, to the last entry that Docker has."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from launcher.daemon import clock
from launcher.daemon.logfile import LogWriter
from launcher.daemon.logs import about_container
from launcher.engine.logs import Logs
from launcher.engine.outcome import Refusal, Refused, Unknown
from launcher.errors import EngineUnavailable
from launcher.wire import Frame

log = logging.getLogger(__name__)

LOOK_AGAIN = 0.5
MOST_REFUSALS = 20
"""So often Docker may refuse to read a log on, half a second apart, before the rest is given up."""
MOST_MISSING = 3
"""So often it may say that there is no such container."""


def write_log(
    logs: Logs,
    name: str,
    path: Path,
    limit: int,
    over: clock.Flag,
    grew: Callable[[], None],
) -> bool:
    """Write a container's log to its end and mark it complete; False where the disk fails."""
    try:
        writer = LogWriter(path, limit)
        try:
            copy_log(logs, name, writer, over, grew)
            writer.end()
        except OSError as error:
            writer.lose(error.strerror or str(error))
            raise
        finally:
            writer.close()
    except OSError as error:
        about_container(log, name).error("the log of %s cannot be written: %s", name, error)
        return False
    return True


def copy_log(
    logs: Logs, name: str, writer: LogWriter, over: clock.Flag, grew: Callable[[], None]
) -> None:
    """Copy a container's log to its end, from where the writer stands, whatever comes between.

    ``over`` is set once the container is seen not running: only then its log is complete, the end
    of a stream says nothing (I4). And a stream that follows ends with the container, wherever it
    stood (Docker 20.10 drops what a loud program wrote last): the rest is read without following.
    """
    refusals = 0
    while not writer.ended:
        ended, size = over.is_set(), writer.size
        try:
            whole = _copy_once(logs, name, writer, grew, follow=not ended)
        except Refused as refused:
            refusals = 1 if writer.size > size else refusals + 1
            if refused.refusal is Refusal.MISSING and refusals >= MOST_MISSING:
                return
            about_container(log, name).warning(
                "cannot read the log of %s: %s", name, refused.message
            )
            if refusals == MOST_REFUSALS:
                writer.note(f"the rest of the log cannot be read: {refused.message}")
                return
            whole = False
        except EngineUnavailable:
            whole = False
        if ended and whole:
            return
        over.wait(LOOK_AGAIN) if whole else clock.sleep(LOOK_AGAIN)


def _copy_once(
    logs: Logs, name: str, writer: LogWriter, grew: Callable[[], None], *, follow: bool
) -> bool:
    """Read from where the writer stands; returns False where the stream broke off."""
    position = writer.position
    already_has = position.already_has()
    try:
        for batch in logs.read(name, position.resume_from(), follow=follow):
            new = [e for e in batch if not already_has(e.stream, e.time_ns, len(e.data))]
            if new:
                writer.write(Frame(e.stream, e.time_ns, e.data) for e in new)
                grew()
    except Unknown:
        return False
    return True
