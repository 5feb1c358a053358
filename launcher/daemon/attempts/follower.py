"""Follows a container until it ends: one thread waits, one writes the log. Both only observe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from launcher.core.messages.actions import FollowAttempt
from launcher.core.messages.events import AttemptEnded, AttemptLost, Event
from launcher.core.model.measurement import Measurement
from launcher.daemon.attempts import exit_trust
from launcher.daemon.attempts.exit_witness import ExitWitness, Witnessed
from launcher.daemon.attempts.start_journal import StartJournal, life_of
from launcher.daemon.loop import clock
from launcher.daemon.loop.logging_setup import about_event
from launcher.daemon.output.capture import Capture, Output
from launcher.daemon.output.log_copier import end_log, write_log
from launcher.daemon.output.retrying import AWAY, LOOK_AGAIN_SECONDS, insist, until_done
from launcher.engine.containers import Container, Containers
from launcher.engine.dockerd_identity import DockerdIdentity
from launcher.engine.logs import Logs
from launcher.engine.outcome import Refusal, Refused
from launcher.output.log_file import Limit, path_of

T = TypeVar("T")

log = logging.getLogger(__name__)

FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 2.0
GHOST_GRACE = 1.0
UNWATCHED_SECONDS = 0.5
"""Delay before an unwatched log is followed. Most short jobs have ended by then, and one plain
read in a quiet moment costs Docker less than a stream."""
WITNESS_SECONDS = 1.0
"""The kernel reports an end within this time after Docker has."""
STREAM_FIRST_SECONDS = 2.0
"""A container's stream may end this long before Docker reports that the container has ended."""


class Follower:
    """Follows one attempt. ``idle`` returns those of the slices that no process uses."""

    def __init__(
        self,
        action: FollowAttempt,
        containers: Containers,
        logs: Logs,
        *,
        post: Callable[..., None],
        idle: Callable[[tuple[str, ...], str], tuple[str, ...]],
        grown: Callable[[int], None],
        log_lost: Callable[[int, int], None],
        log_written: Callable[[int, int], None],
        watched: Callable[[int], bool],
        journal: StartJournal,
        directory: Path,
        log_limit: Limit,
        capture: Capture,
        witness: ExitWitness,
        measured: Callable[[FollowAttempt], Measurement],
        under: DockerdIdentity | None = None,
    ) -> None:
        """``measured`` returns what it used; ``under``: the dockerd that was asked to start it, if
        known."""
        self._action = action
        self._containers, self._logs = containers, logs
        self._post, self._idle, self._grown = post, idle, grown
        self._log_lost, self._watched = log_lost, watched
        self._log_written = log_written
        self._path = path_of(directory, action.job, action.attempt)
        self._log_limit = log_limit
        self._capture, self._witness, self._measured = capture, witness, measured
        self._seen = under
        self._journal = journal
        self._missed: float | None = None
        self._over = clock.flag()
        self.log_over = clock.flag()
        self.log_left = False
        """Whether the job ended before it was watched: its log is then written at its removal."""

    def start(self) -> None:
        """Start both threads."""
        name = f"{self._action.job}.{self._action.attempt}"
        clock.spawn(f"wait-{name}", lambda: until_done(self._action, self._wait))
        clock.spawn(f"log-{name}", lambda: until_done(self._action, self._write_log))

    def finished(self, patience: float) -> bool:
        """Wait for the end of the log; return False once it has not grown for ``patience`` seconds.

        The log of a job with much output takes minutes to copy; removing the container loses it.
        """
        size = -1
        while not self.log_over.wait(patience):
            before, size = size, self._path.stat().st_size if self._path.exists() else 0
            if size == before:
                return False
        return True

    def _wait(self) -> None:
        backoff = FIRST_BACKOFF
        if self._seen is None and (result := self._inspect()) is not None:
            self._witness.watch(result)  # of an earlier daemon; the starter holds any other
        while True:
            try:
                self._containers.wait(self._action.container_name)
            except Refused as refused:
                if refused.refusal is not Refusal.MISSING:
                    about_event(log, self._action).warning("wait: %s", refused.message)
            except AWAY:
                pass
            dockerd = insist(self._containers.incarnation)
            result = self._inspect()
            if result is not None and not result.running and self._witness.runs(result):
                self._witness.end_of(
                    result, LOOK_AGAIN_SECONDS
                )  # Docker does not know that it runs
                continue
            if result is None or not result.running:
                break
            self._seen = dockerd  # read first: the next dockerd could answer the inspect
            self._witness.watch(result)
            self._wake_if_ghost(result)
            clock.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)
        self._over.set()
        self._report(result)

    def _wake_if_ghost(self, container: Container) -> None:
        """Make Docker check again if it reports a running container that has no process.

        Docker reports that indefinitely for containers that end while containerd is down
        (moby 41352). A stop makes Docker check, and it then mostly reports the true exit code. A
        missing process is proof only if dockerd's own process is visible here.
        """
        if self._seen is None or not self._containers.is_ghost(container):
            return
        again = self._inspect()
        if again is not None and self._containers.is_ghost(again):
            logger = about_event(log, self._action)
            logger.warning("Docker has missed the end of %s", container.name)
            self._missed = self._missed or clock.now().wall
            self._journal.miss(container.name, self._missed)
            try:
                self._containers.stop(container.name, GHOST_GRACE)
            except (*AWAY, Refused) as error:
                logger.warning("Docker cannot check now: %s", error.message)

    def _inspect(self) -> Container | None:
        """Inspect until Docker answers: an error in wait says nothing about the container (I4)."""
        a = self._action
        return insist(lambda: self._containers.find(a.container_name, a.container_id))

    def _why_lost(self, container: Container) -> str | None:
        """Return why the end that Docker reports is not believed, None if it is."""
        if (why := exit_trust.why_unknown(container)) is not None:
            return why
        if self._action.before_boot and (why := exit_trust.why_rebooted(container)):
            return why
        if not exit_trust.is_doubtful(container):
            return None
        record = self._journal.record_of(self._action.container_name)
        missed = self._missed or (record and record.missed)
        if missed and (why := exit_trust.why_missed(container, missed)) is not None:
            return why
        now = insist(self._containers.incarnation)
        saw_end = partial(insist, partial(self._containers.saw_end, container.id))
        return exit_trust.why_lost(container, self._seen, now, saw_end)

    def _report(self, container: Container | None) -> None:
        a = self._action
        if container is None:
            self._report_removed()
            return
        # Nothing survives a reboot.
        idle = a.slices if a.before_boot else self._idle(a.slices, container.id)
        seen = self._witness.end_of(container, WITNESS_SECONDS)
        if seen is not None:
            container = self._as_witnessed(container, seen)
        times, measured = (container.started_at, container.finished_at), self._measured(a)
        event: Event
        if (why := self._why_not_believed(container, seen)) is not None:
            event = AttemptLost(a.job, a.attempt, why, idle, *times, measured=measured)
        else:
            event = AttemptEnded(
                a.job,
                a.attempt,
                container.exit_code,
                container.oom,
                *times,
                idle,
                container.error or _of_memory(container, seen),
                measured,
            )
        self._post(event)

    def _as_witnessed(self, container: Container, seen: Witnessed) -> Container:
        """Return the container with the kernel's report of its end, if Docker's differs."""
        code = container.exit_code if seen.exit_code is None else seen.exit_code
        if code != container.exit_code:
            about_event(log, self._action).error(
                "Docker says that %s ended with %d; using the kernel's code %d",
                container.name,
                container.exit_code,
                code,
            )
        oom, at = container.oom or seen.oom, exit_trust.true_end(container, seen)
        return replace(container, exit_code=code, oom=oom, finished_at=at)

    def _why_not_believed(self, container: Container, seen: Witnessed | None) -> str | None:
        genuine = seen is not None and exit_trust.is_genuine(container, seen)
        return None if genuine else self._why_lost(container)

    def _report_removed(self) -> None:
        """Report a container that is gone: as ended if the kernel reported it, else as lost."""
        a = self._action
        idle = self._idle(a.slices, "")
        seen = self._witness.end_of_removed(a.container_name, WITNESS_SECONDS)
        measured = self._measured(a)
        if seen is None or seen.exit_code is None or seen.exit_code in exit_trust.KILLED:
            message = f"the container {a.container_name} was removed"
            self._post(AttemptLost(a.job, a.attempt, message, idle, measured=measured))
        else:
            at = clock.rfc3339(clock.now().wall if seen.at is None else seen.at)
            end = (seen.exit_code, seen.oom, None, at, idle)
            self._post(AttemptEnded(a.job, a.attempt, *end, measured=measured))

    def _write_log(self) -> None:
        a = self._action
        output = self._capture.of(a.job, a.attempt)
        if output is not None:
            output.over.wait()
        if output is not None and self._has_all(output):
            self._end_log(end_log(a.container_name, self._path, self._log_limit))
        elif output is None and self._ended_unwatched():
            self.log_left = True
        else:
            self._end_log(self._copy_log(output.ended_ns if output else None))
        self.log_over.set()
        self._log_grew()

    def _copy_log(self, broke_off_ns: int | None) -> bool:
        return write_log(
            self._logs,
            self._action.container_name,
            self._path,
            self._log_limit,
            self._over,
            self._log_grew,
            broke_off_ns,
        )

    def _ended_unwatched(self) -> bool:
        """Whether the job ended before anyone watched it."""
        job = self._action.job
        unwatched = not self._watched(job) and self._over.wait(UNWATCHED_SECONDS)
        return unwatched and not self._watched(job)

    def _has_all(self, output: Output) -> bool:
        """Whether the keeper read all output: the stream ended with the container.

        The stream also ends if dockerd stops; the next dockerd then reports on the container.
        """
        if not (output.whole and output.under and self._over.wait(STREAM_FIRST_SECONDS)):
            return False
        return output.under == life_of(insist(self._containers.incarnation))

    def _end_log(self, written: bool) -> None:
        if not written:
            self._log_lost(self._action.job, self._action.attempt)
        self._log_written(self._action.job, self._action.attempt)

    def _log_grew(self) -> None:
        self._grown(self._action.job)


def _of_memory(container: Container, seen: Witnessed | None) -> str | None:
    """Say how much of the memory were files, for a container that ran out of it."""
    limit = (container.info.get("HostConfig") or {}).get("Memory")
    if not container.oom or not limit or seen is None or seen.files is None:
        return None
    most, files = limit // 2**20, seen.files // 2**20
    return (
        f"its memory limit is {most} MiB; when last measured, {files} MiB of it were files in "
        "memory (/dev/shm, and /tmp with `tmp: memory`)"
    )
