"""Copies a container's log from Docker into its file, up to the last entry that Docker has."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from launcher.daemon.loop import clock
from launcher.daemon.loop.logging_setup import about_container
from launcher.daemon.output.retrying import LOOK_AGAIN_SECONDS
from launcher.engine.logs import Logs
from launcher.engine.outcome import Refusal, Refused, Unknown
from launcher.errors import EngineUnavailable
from launcher.output.continuation import Continuation, Misfit
from launcher.output.log_file import Limit, LogWriter
from launcher.output.old_format import convert_if_old

log = logging.getLogger(__name__)

MOST_REFUSALS = 20
"""Docker may refuse to continue a log this often, half a second apart; then the rest is lost."""
MOST_MISSING = 3
"""Docker may report this often that the container does not exist."""


def write_log(
    logs: Logs,
    name: str,
    path: Path,
    limit: Limit,
    over: clock.Flag,
    grew: Callable[[], None],
    broke_off_ns: int | None = None,
) -> bool:
    """Write a container's log to its end and mark it complete; False if the disk fails.
    ``broke_off_ns``: when the output keeper stopped reading, if it has written a part.
    """

    def write(writer: LogWriter) -> None:
        Copier(logs, name, path, writer, grew, broke_off_ns).copy(over)
        writer.end(now_ns())

    return _written(name, path, limit, write)


def end_log(name: str, path: Path, limit: Limit) -> bool:
    """Mark a log that the output keeper has written as complete; False if the disk fails."""
    return _written(name, path, limit, lambda writer: writer.end(now_ns()))


def lose_log(name: str, path: Path, limit: Limit, why: str) -> None:
    """Write into a log that its rest is lost, and why."""
    _written(name, path, limit, lambda writer: writer.lose(why, now_ns()))


def note_in_log(name: str, path: Path, limit: Limit, text: str) -> None:
    """Append a message of the launcher to a log that is not being written."""
    _written(name, path, limit, lambda writer: writer.note(text, now_ns()))


def is_ended(path: Path, limit: Limit) -> bool:
    """Whether a log that is not being written is complete. Raises ``OSError``."""
    with contextlib.closing(LogWriter(path, limit.bytes, limit.why)) as writer:
        return writer.ended


def _written(name: str, path: Path, limit: Limit, write: Callable[[LogWriter], None]) -> bool:
    try:
        convert_if_old(path)
        writer = LogWriter(path, limit.bytes, limit.why)
        try:
            write(writer)
        except OSError as error:
            writer.lose(error.strerror or str(error), now_ns())
            raise
        finally:
            writer.close()
    except OSError as error:
        about_container(log, name).error("the log of %s cannot be written: %s", name, error)
        return False
    return True


def now_ns() -> int:
    """Return the time in nanoseconds since 1970."""
    return round(clock.now().wall * 1e9)


class Copier:
    """Copies a container's log into its file, from the file's present end."""

    def __init__(
        self,
        logs: Logs,
        name: str,
        path: Path,
        writer: LogWriter,
        grew: Callable[[], None],
        broke_off_ns: int | None,
    ) -> None:
        self._logs, self._name, self._path = logs, name, path
        self._broke_off_ns = broke_off_ns
        self._writer, self._grew = writer, grew
        self._log = about_container(log, name)
        self._refusals = 0
        self._rotated = False

    def copy(self, over: clock.Flag) -> None:
        """Copy to the end of the log, across interruptions.

        ``over`` is set once the container is seen not running. Only then its log is complete; the
        end of a stream proves nothing (I4). A stream that follows ends with the container, even
        before its last entries (Docker 20.10 drops what a program with much output wrote last):
        the rest is read without following.
        """
        while not self._writer.ended:
            ended, size = over.is_set(), self._writer.size
            try:
                whole = self._copy_once(follow=not ended)
            except Refused as refused:
                self._refusals = 1 if self._writer.size > size else self._refusals + 1
                if self._gives_up(refused):
                    return
                whole = False
            except EngineUnavailable:
                whole = False
            if ended and whole:
                return
            over.wait(LOOK_AGAIN_SECONDS) if whole else clock.sleep(LOOK_AGAIN_SECONDS)

    def _gives_up(self, refused: Refused) -> bool:
        if refused.refusal is Refusal.MISSING and self._refusals >= MOST_MISSING:
            return True
        self._log.warning("cannot read the log of %s: %s", self._name, refused.message)
        if self._refusals < MOST_REFUSALS:
            return False
        note = f"the rest of the log cannot be read: {refused.message}"
        self._writer.note(note, now_ns())
        return True

    def _copy_once(self, *, follow: bool) -> bool:
        """Read from the start and write new entries; returns False if the stream broke off."""
        totals = self._writer.totals
        continuation = Continuation(
            self._path, totals, broke_off_ns=self._broke_off_ns, by_time=self._rotated
        )
        try:
            raw = self._logs.is_raw(self._name)
            for batch in self._logs.read(self._name, follow=follow, raw=raw):
                new = [frame for entry in batch for frame in continuation.rest(entry)]
                if new:
                    self._writer.write(new)
                    self._grew()
        except Misfit as misfit:
            first, last = (clock.rfc3339(ns / 1e9) for ns in (totals.time_ns, misfit.at_ns))
            gap = f"output is missing here, from {first} to {last}: Docker's log was rotated"
            self._writer.note(gap, now_ns())
            self._rotated = True
            return False
        except Unknown:
            return False
        return True
