"""The outbox: deliveries that wait and the place in the events, in one file.

Each line is one change as JSON, written and synchronised as a whole: after a crash a part of a line
at the end is dropped. So an event's deliveries are there exactly if its number is, and a restart
loses none and makes none twice. From time to time the file is written anew.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher import wire
from launcher.errors import StateDirError
from launcher.web.notify.bounds import JOURNAL_SLACK, MOST_REPORTS
from launcher.web.notify.deliveries import Delivery, from_json, to_json

log = logging.getLogger(__name__)
FILE_NAME = "outbox.jsonl"
LOCK_NAME = "lock"


@dataclass(slots=True)
class OutboxChange:
    """One change. ``cursor`` is the number of the last event; ``reported`` that many reports."""

    put: list[Delivery] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    cursor: int | None = None
    failures: list[wire.NotifyFailure] = field(default_factory=list)
    reported: int = 0

    def line(self) -> bytes:
        """Return the change as a line of the file."""
        values = {
            "put": [to_json(each) for each in self.put],
            "gone": self.gone,
            "cursor": self.cursor,
            "failures": [vars(each) for each in self.failures],
            "reported": self.reported,
        }
        return json.dumps({key: value for key, value in values.items() if value}).encode() + b"\n"


class Outbox:
    """What waits to be sent. Only one process uses a directory."""

    def __init__(self, directory: Path) -> None:
        self.waiting: dict[str, Delivery] = {}
        self.cursor: int | None = None
        self.failures: list[wire.NotifyFailure] = []
        self._path = directory / FILE_NAME
        self._lines = self._size = 0
        self._thread = ThreadPoolExecutor(1, "outbox")  # look-ups of names fill the common one
        self._turn = asyncio.Lock()
        self._lock = _locked(directory / LOCK_NAME)
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._read()
        except OSError as error:
            os.close(self._lock)
            raise _unusable(self._path, error) from error

    async def close(self) -> None:
        """Wait for what is being written, and unlock the directory."""
        async with self._turn:
            self._thread.shutdown()
            os.close(self._file)
            os.close(self._lock)

    async def change(self, make: Callable[[], OutboxChange]) -> None:
        """Make a change once it is on the disk; raises ``OSError``: then nothing is changed.

        ``make`` is called when no other change is under way, and so sees all earlier ones.
        """
        async with self._turn:
            loop, change = asyncio.get_running_loop(), make()
            # A cancelled caller must not leave a change that is on the disk alone.
            writing = loop.run_in_executor(self._thread, self._append, change)
            await asyncio.shield(writing)
            self._apply(change)
            if self._lines > 2 * len(self.waiting) + JOURNAL_SLACK:
                whole = self._whole()
                await asyncio.shield(loop.run_in_executor(self._thread, self._rewrite, whole))

    def _apply(self, change: OutboxChange) -> None:
        self.waiting.update({each.id: each for each in change.put})
        for each in change.gone:
            self.waiting.pop(each, None)
        if change.cursor is not None:
            self.cursor = change.cursor
        del self.failures[: change.reported]
        self.failures = [*self.failures, *change.failures][-MOST_REPORTS:]

    def _whole(self) -> list[OutboxChange]:
        head = OutboxChange(cursor=self.cursor, failures=list(self.failures))
        return [head, *(OutboxChange(put=[each]) for each in self.waiting.values())]

    def _append(self, change: OutboxChange) -> None:
        line = change.line()
        try:
            written = os.pwrite(self._file, line, self._size)
            if written < len(line):
                raise OSError(28, "No space left on device")
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)
        self._lines += 1

    def _rewrite(self, changes: Iterable[OutboxChange]) -> None:
        """Replace the file by one with what is there now; a failure leaves the old one."""
        part = self._path.with_suffix(".new")
        lines = [change.line() for change in changes]
        try:
            with part.open("wb") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.writelines(lines)
                stream.flush()
                os.fsync(stream.fileno())
            new = os.open(part, os.O_RDWR | os.O_CLOEXEC)
            part.replace(self._path)
        except OSError as error:
            log.warning("cannot write %s anew: %s", self._path, error.strerror)
            self._lines = 0  # not again at once
            return
        old, self._file = self._file, new
        os.close(old)
        self._size, self._lines = sum(map(len, lines)), len(lines)

    def _read(self) -> None:
        """Read the file; what is behind the last whole line is dropped."""
        content = self._path.read_bytes()
        self._size = content.rfind(b"\n") + 1
        os.ftruncate(self._file, self._size)
        for line in content[: self._size].splitlines():
            self._lines += 1
            try:
                self._apply(_change_of(json.loads(line)))
            except (ValueError, TypeError, KeyError, AttributeError):
                log.warning("%s: line %d is damaged, and left out", self._path, self._lines)


def _change_of(values: dict[str, Any]) -> OutboxChange:
    return OutboxChange(
        put=[from_json(each) for each in values.get("put", ())],
        gone=[str(each) for each in values.get("gone", ())],
        cursor=values.get("cursor"),
        failures=[wire.NotifyFailure(**each) for each in values.get("failures", ())],
        reported=int(values.get("reported", 0)),
    )


def _locked(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StateDirError(
            f"another `launch web` sends notifications from {path.parent}",
            fix="Stop it, or give this one another STATE_DIRECTORY.",
        ) from error
    return lock


def _unusable(path: Path, error: OSError) -> StateDirError:
    return StateDirError(
        f"cannot use {path}: {error.strerror or error}",
        fix="STATE_DIRECTORY names the directory; its unit has StateDirectory=launcher-web.",
    )
