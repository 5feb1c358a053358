"""Captures the output of attempts through the keeper, attached before they start."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.core.messages.actions import FollowAttempt, RemoveContainer, StartAttempt
from launcher.daemon.loop import clock
from launcher.daemon.loop.logging_setup import about_event
from launcher.engine.attach import Streams, attach
from launcher.engine.outcome import Refused, Unknown
from launcher.errors import EngineUnavailable
from launcher.output.keeper_client import OutputKeeper
from launcher.output.log_file import Limit, path_of
from launcher.output.old_format import convert_if_old

log = logging.getLogger(__name__)

READY_SECONDS = 5.0
AGAIN_SECONDS = 0.5

Logged = StartAttempt | FollowAttempt | RemoveContainer
"""The actions of an attempt during which its log matters."""


@dataclass(slots=True)
class Output:
    """One attempt's output as the keeper reads it.

    ``under`` identifies the run of dockerd in which it was attached. ``over`` is set when reading
    has ended; ``whole`` then says whether the stream was read to its end.
    """

    job: int
    under: str
    over: clock.Flag = field(default_factory=clock.flag)
    whole: bool = False
    ended_ns: int | None = None
    """When reading ended, in nanoseconds since 1970."""


class Capture:
    """The outputs by log file. Thread-safe. Without a keeper there are none.

    ``limit`` returns how large the log of a job's attempt may be.
    """

    def __init__(
        self,
        keeper: OutputKeeper | None,
        docker_host: str,
        timeout: float,
        directory: Path,
        limit: Callable[[int, int], Limit],
        *,
        grew: Callable[[int], None],
        trouble: Callable[[str | None], None],
    ) -> None:
        self._keeper = keeper
        self._docker_host, self._timeout = docker_host, timeout
        self._directory, self._limit = directory, limit
        self._grew, self._trouble = grew, trouble
        self._outputs: dict[Path, Output] = {}
        self._once_more: set[Path] = set()
        """The logs of repeated starts, until their containers are removed."""
        self._lock = threading.Lock()
        self._ready = threading.Event()

    def start(self) -> None:
        """Start listening to the keeper."""
        if self._keeper is not None:
            clock.spawn("output-keeper", self._listen)

    def attach(self, action: StartAttempt, under: str, streams: Streams) -> None:
        """Make the keeper read the output of an attempt whose container has not started yet.

        If that fails the output is read from Docker's own log. So is the output of a repeated
        start: the earlier stream ended with the earlier start, or Docker dropped it. An interactive
        job gets a console.
        """
        if self._keeper is None:
            return
        path = path_of(self._directory, action.job, action.attempt)
        if streams.stdin:
            self._open_console(self._keeper, action, streams.uid)
        if self.of(action.job, action.attempt) is not None:
            self.forget(action.job, action.attempt)
            self._once_more.add(path)
        if path in self._once_more:
            return
        try:
            convert_if_old(path)
            with attach(self._docker_host, action.container_name, self._timeout) as attached:
                self._record(self._keeper, action, under, attached.fileno(), raw=streams.tty)
        except (OSError, EngineUnavailable, Refused, Unknown) as error:
            about_event(log, action).warning("its output is read from Docker's log: %s", error)

    def _open_console(self, keeper: OutputKeeper, action: StartAttempt, uid: int) -> None:
        """Have the keeper hold the container's input; without it, the first client opens it."""
        path = path_of(self._directory, action.job, action.attempt)
        try:
            with attach(self._docker_host, action.container_name, self._timeout, stdin=True) as new:
                keeper.hold_console(path, uid, new.fileno(), waits=True)
        except (OSError, EngineUnavailable, Refused, Unknown) as error:
            about_event(log, action).warning("its console is not open yet: %s", error)

    def read_pipes(self, action: Logged, stdout: int, stderr: int) -> None:
        """Make the keeper read a host job's pipes; raises ``OSError``."""
        if self._keeper is None:
            raise OSError(errno.ENOSYS, "there is no output keeper")
        self._record(self._keeper, action, "", stdout, stderr)

    def _record(
        self, keeper: OutputKeeper, action: Logged, under: str, *files: int, raw: bool = False
    ) -> None:
        path = path_of(self._directory, action.job, action.attempt)
        with self._lock:
            self._outputs[path] = Output(action.job, under)
        try:
            limit = self._limit(action.job, action.attempt)
            keeper.store(path, f"{action.job} {under}", limit, *files, raw=raw)
        except BaseException:
            self._outputs.pop(path, None)
            raise

    def of(self, job: int, attempt: int) -> Output | None:
        """Return an attempt's output, None if the keeper does not have it."""
        if self._keeper is None:
            return None
        self._ready.wait(READY_SECONDS)
        return self._outputs.get(path_of(self._directory, job, attempt))

    def forget(self, job: int, attempt: int) -> None:
        """Release an output whose container is to be removed."""
        path = path_of(self._directory, job, attempt)
        output = self._outputs.pop(path, None)
        self._once_more.discard(path)
        if self._keeper is not None:
            self._keeper.drop_console(path)
        if self._keeper is None or output is None:
            return
        output.over.set()
        try:
            self._keeper.forget(path)
        except OSError as error:
            log.warning("%s", error)

    def _listen(self) -> None:
        assert self._keeper is not None
        while True:
            try:
                self._receive_all(self._keeper)
                why = "the output keeper has ended; restarting it"
            except (OSError, ValueError, KeyError) as error:
                why = f"the output keeper cannot be reached: {error}"
            self._lose_all(why)
            clock.sleep(AGAIN_SECONDS)

    def _receive_all(self, keeper: OutputKeeper) -> None:
        expected = None
        for message in keeper.watch():
            if expected is None:
                expected = int(message["kept"])
                self._trouble(None)
            else:
                self._receive(message)
                expected -= 1
            if expected <= 0:
                self._ready.set()

    def _receive(self, message: dict[str, Any]) -> None:
        path = Path(message["path"])
        job, _, under = str(message["token"]).partition(" ")
        with self._lock:
            output = self._outputs.setdefault(path, Output(int(job), under))
        if message["whole"] is not None:
            output.whole, output.ended_ns = bool(message["whole"]), int(message["ended_ns"])
            output.over.set()
        self._grew(output.job)

    def _lose_all(self, why: str) -> None:
        log.warning("%s", why)
        self._trouble(why)
        self._ready.set()
        for output in list(self._outputs.values()):
            output.over.set()
