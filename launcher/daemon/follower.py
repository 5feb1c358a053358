"""Following a container until it ends: one thread waits, one writes the log. Both only observe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from launcher.core.action import FollowAttempt
from launcher.core.event import AttemptEnded, AttemptLost, Event
from launcher.daemon import clock, ending
from launcher.daemon.logfile import LogWriter, path_of
from launcher.daemon.logs import about_container, about_event
from launcher.engine.containers import Container, Containers
from launcher.engine.incarnation import Incarnation
from launcher.engine.logs import Logs
from launcher.engine.outcome import Refusal, Refused, Unknown
from launcher.errors import EngineUnavailable
from launcher.wire import Frame

T = TypeVar("T")

log = logging.getLogger(__name__)

FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 2.0
LOOK_AGAIN = 0.5
GHOST_GRACE = 1.0
MOST_REFUSALS = 20
"""So often Docker may refuse to read a log on, half a second apart, before the rest is given up."""
MOST_MISSING = 3
"""So often it may say that there is no such container."""
UNWATCHED_SECONDS = 0.5
"""A log that nobody watches is not followed at once: most short jobs are over by then, and one
plain read, when nothing else is to be done, costs Docker less than a stream."""
AWAY = (EngineUnavailable, Unknown)


class Follower:
    """Follows one attempt. ``idle`` returns those of the slices that no process is on."""

    def __init__(
        self,
        action: FollowAttempt,
        containers: Containers,
        logs: Logs,
        *,
        tell: Callable[..., None],
        idle: Callable[[tuple[str, ...], str], tuple[str, ...]],
        grown: Callable[[int], None],
        log_lost: Callable[[int, int], None],
        log_written: Callable[[int, int], None],
        watched: Callable[[int], bool],
        directory: Path,
        log_limit: int,
    ) -> None:
        self._action = action
        self._containers, self._logs = containers, logs
        self._tell, self._idle, self._grown = tell, idle, grown
        self._log_lost, self._watched = log_lost, watched
        self._log_written = log_written
        self._path = path_of(directory, action.job, action.attempt)
        self._log_limit = log_limit
        self._seen: Incarnation | None = None
        self._missed = False
        self._over = clock.flag()
        self.log_over = clock.flag()
        self.log_left = False
        """Whether the job was over before anybody looked: its log is written with its removal."""

    def start(self) -> None:
        """Start both threads."""
        name = f"{self._action.job}.{self._action.attempt}"
        clock.spawn(f"wait-{name}", lambda: self._until_done(self._wait))
        clock.spawn(f"log-{name}", lambda: self._until_done(self._write_log))

    def _until_done(self, work: Callable[[], None]) -> None:
        """Begin again where something unforeseen happened: nobody else follows this job."""
        while True:
            try:
                return work()
            except Exception:
                told = about_event(log, self._action)
                told.exception("following it failed, it is begun again")
                clock.sleep(LOOK_AGAIN)

    def finished(self, patience: float) -> bool:
        """Wait until the log is over; False once it has not grown for ``patience`` seconds.

        A loud program's log takes minutes to copy, and goes with its container.
        """
        size = -1
        while not self.log_over.wait(patience):
            before, size = size, self._path.stat().st_size if self._path.exists() else 0
            if size == before:
                return False
        return True

    def _wait(self) -> None:
        backoff = FIRST_BACKOFF
        while True:
            try:
                self._containers.wait(self._action.container_name)
                found = self._containers.inspect(self._action.container_name)
            except Refused as refused:
                if refused.refusal is Refusal.MISSING:
                    found = self._inspect()
                else:
                    about_event(log, self._action).warning("wait: %s", refused.message)
                    found = self._inspect()
            except AWAY:
                found = self._inspect()
            if found is None or not found.running:
                break
            self._seen = self._insist(self._containers.incarnation)
            self._wake_if_ghost(found)
            clock.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)
        self._over.set()
        self._report(found)

    def _wake_if_ghost(self, found: Container) -> None:
        """Let Docker look where it says that a container runs which has no process any more.

        So it does for ever of those that end while containerd is away (moby 41352). Asked to stop
        one it finds out, and mostly tells the true exit code. Only where we see dockerd's own
        process an empty cgroup means anything.
        """
        if self._seen is None or not self._containers.is_empty(found.id):
            return
        again = self._inspect()
        if again is not None and again.running and self._containers.is_empty(found.id):
            told = about_event(log, self._action)
            told.warning("Docker has missed the end of %s", found.name)
            self._missed = True
            try:
                self._containers.stop(found.name, GHOST_GRACE)
            except (*AWAY, Refused) as error:
                told.warning("it cannot look now: %s", error.message)

    def _inspect(self) -> Container | None:
        """Inspect until Docker answers: an error in wait says nothing about the container (I4)."""
        return self._insist(lambda: self._containers.inspect(self._action.container_name))

    @staticmethod
    def _insist(ask: Callable[[], T]) -> T:
        while True:
            try:
                return ask()
            except (*AWAY, Refused):
                clock.sleep(LOOK_AGAIN)

    def _why_lost(self, found: Container) -> str | None:
        """Return why Docker's word about the end is not to be believed, None where it is."""
        if not ending.is_doubtful(found):
            return None
        if self._missed and found.exit_code == ending.FORGOTTEN:
            return "Docker missed its end and does not know how it ended"
        now = self._insist(self._containers.incarnation)
        return ending.why_lost(
            found, self._seen, now, lambda: self._insist(self._containers.live_restore)
        )

    def _report(self, found: Container | None) -> None:
        a = self._action
        if found is None:
            message = f"the container {a.container_name} is gone: somebody removed it"
            self._tell(AttemptLost(a.job, a.attempt, message, self._idle(a.slices, "")))
            return
        # Nothing survives a reboot.
        idle = a.slices if ending.before_boot(found) else self._idle(a.slices, found.id)
        times = found.started_at, found.finished_at
        event: Event
        if (why := self._why_lost(found)) is not None:
            event = AttemptLost(a.job, a.attempt, why, idle, *times)
        else:
            event = AttemptEnded(
                a.job, a.attempt, found.exit_code, found.oom, *times, idle, found.error or None
            )
        self._tell(event)

    def _write_log(self) -> None:
        job = self._action.job
        unwatched = not self._watched(job) and self._over.wait(UNWATCHED_SECONDS)
        if unwatched and not self._watched(job):
            self.log_left = True
        else:
            name = self._action.container_name
            written = write_log(
                self._logs, name, self._path, self._log_limit, self._over, self._log_grew
            )
            if not written:
                self._log_lost(job, self._action.attempt)
            self._log_written(job, self._action.attempt)
        self.log_over.set()
        self._log_grew()

    def _log_grew(self) -> None:
        self._grown(self._action.job)


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
