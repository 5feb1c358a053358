"""The output of host jobs in the background: from two pipes into the log.

The output keeper reads them. The helper also holds their reading ends open, so that no pipe breaks
if the keeper dies: the next keeper reads on.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from launcher.daemon.loop import clock
from launcher.daemon.loop.logging_setup import about_event
from launcher.daemon.loop.subscriptions import Subscriptions
from launcher.daemon.output.capture import Capture, Logged
from launcher.daemon.output.log_copier import end_log, is_ended, lose_log, note_in_log
from launcher.daemon.output.log_usage import LogUsage
from launcher.daemon.output.retrying import LOOK_AGAIN_SECONDS, insist, until_done
from launcher.host.client import HostHelper
from launcher.output.log_file import Limit, path_of

log = logging.getLogger(__name__)

LEFT_OPEN_SECONDS = 5.0
"""Pipes may stay open this long after a job's last process: another process may hold them."""
LEFT_OPEN = "a process outside the job holds its output open; its writes are left out"
AT_MOST = 1 << 18
READ_ON = (
    f"output may be missing here, at most {AT_MOST} bytes: its reader was killed and restarted"
)
NOBODY_READS = "the output keeper and the helper for host jobs both ended"


class HostOutput:
    """Manages the logs of attempts that run in the background. Thread-safe.

    ``subscriptions`` receives what is still to be written, and what is lost.
    """

    def __init__(
        self,
        capture: Capture,
        helper: HostHelper,
        directory: Path,
        log_use: LogUsage,
        subscriptions: Subscriptions,
    ) -> None:
        self._capture, self._helper = capture, helper
        self._directory, self._log_use, self._subscriptions = directory, log_use, subscriptions
        self._over: dict[str, clock.Flag] = {}
        """By attempt: set once its last process has ended."""

    @contextlib.contextmanager
    def pipes(self, action: Logged) -> Iterator[tuple[int, ...]]:
        """Yield two writing ends and their two reading ends, which are read from now on.

        All are closed here when the block ends. Raises ``OSError``.
        """
        self._capture.forget(action.job, action.attempt)  # of an aborted start
        (out, to_out), (err, to_err) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        try:
            self._capture.read_pipes(action, out, err)
            yield to_out, to_err, out, err
        finally:
            for fd in (to_out, to_err, out, err):
                os.close(fd)

    def has(self, action: Logged) -> bool:
        """Whether an attempt has a log: foreground attempts have none."""
        output = self._capture.of(action.job, action.attempt)
        return output is not None or self._path(action).exists()

    def follow(self, action: Logged) -> None:
        """Start managing the log of an attempt that runs, or ran."""
        over = self._over[action.container_name] = clock.flag()
        self._log_use.resume(action.job, action.attempt)
        self._subscriptions.owe_log(action.job, action.attempt)
        clock.spawn(f"log-{action.job}.{action.attempt}", lambda: self._until_ended(action, over))

    def over(self, action: Logged) -> None:
        """Allow the log to end: the attempt's last process has ended."""
        if (flag := self._over.get(action.container_name)) is not None:
            flag.set()

    def complete(self, action: Logged) -> None:
        """Wait until the log of an attempt without processes has ended; then release it.

        A log that an earlier daemon followed is ended here.
        """
        name = action.container_name
        if name not in self._over and self.has(action):
            self.follow(action)
        self.over(action)
        while name in self._over:
            clock.sleep(LOOK_AGAIN_SECONDS)
        self._capture.forget(action.job, action.attempt)

    def _path(self, action: Logged) -> Path:
        return path_of(self._directory, action.job, action.attempt)

    def _limit(self, action: Logged) -> Limit:
        return self._log_use.limit(action.job, action.attempt)

    def _until_ended(self, action: Logged, over: clock.Flag) -> None:
        until_done(action, lambda: self._manage(action, over))
        self._over.pop(action.container_name, None)
        self._log_use.end(action.job, action.attempt)
        self._subscriptions.log_written(action.job, action.attempt)

    def _manage(self, action: Logged, over: clock.Flag) -> None:
        """Make the keeper read the log to its end, across crashes; then end the log."""
        name, limit = action.container_name, self._limit(action)
        while not self._is_read(action, over):
            note_in_log(name, self._path(action), limit, READ_ON)
            if not self._read_on(action):
                about_event(log, action).error("its output is lost: %s", NOBODY_READS)
                lose_log(name, self._path(action), limit, NOBODY_READS)
                self._subscriptions.lose_log(action.job, action.attempt)
                return
        if not end_log(name, self._path(action), limit):
            self._subscriptions.lose_log(action.job, action.attempt)

    def _is_read(self, action: Logged, over: clock.Flag) -> bool:
        """Wait until all of it is read; return False if it is no longer being read."""
        output = self._capture.of(action.job, action.attempt)
        if output is None:
            return self._is_ended(action)
        left = LEFT_OPEN_SECONDS
        while not output.over.wait(LOOK_AGAIN_SECONDS):
            left -= LOOK_AGAIN_SECONDS if over.is_set() else 0
            if left <= 0:
                self._capture.forget(action.job, action.attempt)
                path, limit = self._path(action), self._limit(action)
                note_in_log(action.container_name, path, limit, LEFT_OPEN)
                return True
        return output.whole or self._is_ended(action)

    def _is_ended(self, action: Logged) -> bool:
        """Whether the keeper read everything before it ended; then it also ended the log."""
        return is_ended(self._path(action), self._limit(action))

    def _read_on(self, action: Logged) -> bool:
        """Make the keeper read the pipes that the helper has; False if it has none."""
        self._capture.forget(action.job, action.attempt)
        while True:
            ends = insist(lambda: self._helper.output(action.container_name))
            if not ends:
                return False
            try:
                self._capture.read_pipes(action, *ends)
            except OSError as error:
                about_event(log, action).warning("its output waits to be read: %s", error)
            else:
                return True
            finally:
                for fd in ends:
                    os.close(fd)
            clock.sleep(LOOK_AGAIN_SECONDS)
