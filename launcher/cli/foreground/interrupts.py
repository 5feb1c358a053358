"""Ctrl-C and SIGTERM while a job runs in the foreground."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType
from typing import Any

import click

from launcher.cli.output import terminal
from launcher.cli.output.exit_codes import EXIT_CANCELLED
from launcher.client import Client
from launcher.errors import LauncherError

AGAIN_SECONDS = 2.0
_REQUEST_SECONDS = 5.0
_PENDING = ("PENDING", "STARTING")


class Interrupts:
    """The first Ctrl-C goes to the container, a second within 2 s cancels; SIGTERM cancels.

    Where the daemon does not hear the first, the next one leaves; the job goes on.

    The handlers ask the daemon on connections of their own, and write without Python's buffers, so
    that they may run in the middle of anything.
    """

    def __init__(self, client: Client, *, ends_job: bool = True) -> None:
        """``ends_job``: SIGTERM cancels the job, which this client has started."""
        self._client, self._ends_job = client, ends_job
        self._job: int | None = None
        self._state = "PENDING"
        self._last: float | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._pipe = (-1, -1)
        self._wakeup_before = -1
        self._unheard = False
        self.cancelling = False
        self.terminated = False

    def __enter__(self) -> Interrupts:
        self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._client.wakeup = self._pipe[0]
        self._before = {
            signal.SIGINT: signal.signal(signal.SIGINT, self._on_interrupt),
            signal.SIGTERM: signal.signal(signal.SIGTERM, self._on_terminate),
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._client.wakeup = None
        signal.set_wakeup_fd(self._wakeup_before)
        for fd in self._pipe:
            os.close(fd)

    def queued(self, job: int) -> None:
        """The job has its id; what was asked for meanwhile is done now."""
        self._job = job
        if self._last is not None or self.terminated:
            self._cancel()

    def state(self, state: str) -> None:
        """Note where the job is: what a first Ctrl-C does depends on it."""
        self._state = state

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        again = self._last is not None and now - self._last <= AGAIN_SECONDS
        self._last = now
        if self._job is None:
            return
        if self.cancelling or self._unheard:
            self._leave()
        if again:
            self._cancel()
        elif self._state in _PENDING:
            terminal.say(f"job {self._job} has not started; press Ctrl-C again to cancel it")
        else:
            self._forward()

    def _on_terminate(self, number: int, frame: FrameType | None) -> None:
        if self.terminated and (self.cancelling or self._unheard):
            self._leave()
        self.terminated = True
        if not self._ends_job:
            self._leave()
        if self._job is not None:
            self._cancel()

    def _forward(self) -> None:
        try:
            self._second().signal(self._job or 0, "SIGINT")
        except LauncherError as error:
            self._not_heard(error)
            return
        terminal.say(f"sent SIGINT to job {self._job}; press Ctrl-C again to cancel it")

    def _cancel(self) -> None:
        try:
            self._second().cancel(self._job or 0)
        except LauncherError as error:
            self._not_heard(error)
            return
        self.cancelling = True
        terminal.say(f"job {self._job} is being cancelled")

    def _not_heard(self, error: LauncherError) -> None:
        terminal.report(error)
        terminal.say(f"press Ctrl-C again to leave; job {self._job} goes on")
        self._unheard = True

    def _leave(self) -> None:
        state = "is still being cancelled" if self.cancelling else "goes on"
        terminal.say(f"left; job {self._job} {state}")
        raise click.exceptions.Exit(EXIT_CANCELLED)

    def _second(self) -> Client:
        return Client(self._client.socket, timeout=_REQUEST_SECONDS)
