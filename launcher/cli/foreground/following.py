"""Following a job: its waiting told on stderr, its output passed on exactly."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import click

from launcher.cli.foreground.interrupts import Interrupts
from launcher.cli.foreground.outlook import KINDS, Outlook
from launcher.cli.output import terminal
from launcher.cli.output.escapes import Cleaner
from launcher.cli.output.exit_codes import EXIT_CANCELLED, EXIT_NEVER_RAN, exit_status
from launcher.cli.output.hints import OutputTail
from launcher.cli.output.progress import PullProgress
from launcher.client import Client
from launcher.client.decode import decode, decode_list
from launcher.text import job_format
from launcher.wire import END, EVENT, NOTE, STDERR, STDOUT, BlockerView, Frame, JobView


def follow(
    client: Client, job: JobView, narrator: Narrator, interrupts: Interrupts, *, raw: bool
) -> JobView:
    """Pass on everything that happens to the job; return it as it ended.

    A host job is returned as it is when it is its turn (``narrator.turn``).
    On a terminal its output is passed on without what could steer that, unless ``raw``.
    """
    cleaner = Cleaner(raw=raw)
    try:
        for frame in client.follow(job.id):
            if frame.stream == EVENT:
                interrupts.state(narrator.event(frame.data))
                if narrator.gives_up():
                    client.cancel(job.id)
                if narrator.turn is not None:
                    return job
            elif frame.stream == END:
                return (
                    decode(JobView, json.loads(frame.data)) if frame.data else client.wait(job.id)
                )
            else:
                _pass_on(frame, job.id, narrator, cleaner)
    finally:
        narrator.close()
    return client.wait(job.id)


def _pass_on(frame: Frame, job: int, narrator: Narrator, cleaner: Cleaner) -> None:
    narrator.close()
    if frame.stream in (STDOUT, STDERR):
        narrator.tail.add(frame.data)
    if frame.stream == STDOUT:
        with job_goes_on(job):
            terminal.write(1, cleaner.clean(1, frame.data))
    elif frame.stream == STDERR:
        terminal.write(2, cleaner.clean(2, frame.data), quiet=True)
    elif frame.stream == NOTE:
        terminal.complain(frame.data.decode(errors="replace"))


@contextlib.contextmanager
def job_goes_on(job: int) -> Iterator[None]:
    """Say that the job goes on where stdout takes nothing more, and end this client."""
    goes_on = f"job {job} goes on (`launch cancel {job}` ends it)"
    try:
        yield
    except BrokenPipeError as error:
        terminal.say(f"stdout was closed; {goes_on}")
        terminal.forget_stdout()
        raise click.exceptions.Exit(terminal.BROKEN_PIPE) from error
    except OSError as error:
        if error.errno in terminal.UNWRITABLE:
            terminal.say(goes_on)
        raise


def end_status(end: JobView, narrator: Narrator, interrupts: Interrupts, *, quiet: bool) -> int:
    """Say how a job ended; returns the exit status of the client that followed it."""
    if narrator.trouble is not None:
        return EXIT_NEVER_RAN
    tell_end(end, quiet=quiet)
    if end.outcome == "FAILED" and not quiet and (hint := narrator.tail.hint()) is not None:
        terminal.say(f"hint: {hint}")
    return EXIT_CANCELLED if interrupts.terminated else exit_status(end)


def tell_end(job: JobView, *, quiet: bool) -> None:
    """Say on stderr how the job ended, unless it ended well."""
    if job.outcome != "COMPLETED" and (not quiet or job.exit_code is None):
        terminal.say(f"job {job.id} {_ending(job)}")


def _ending(job: JobView) -> str:
    parts = [f"exit code {job.exit_code}"] if job.exit_code else []
    parts += [text for text in (job.reason, job.message) if text]
    return f"{job.word}: {'; '.join(parts)}" if parts else job.word


HELD_FOR_TROUBLE = {"ImagePullFailed", "NeverStarted"}
"""A job of a queue waits for somebody to mend it; who waits in the foreground is told."""
HELD = {*HELD_FOR_TROUBLE, "JobHeldUser", "DependencyNeverSatisfied"}


class Narrator:
    """Says on stderr what happens to the job, each thing once."""

    trouble: str | None = None
    """Why the job cannot start however long one waits."""
    turn: dict[str, Any] | None = None
    """What the client of a host job needs to start its command, when it is its turn."""

    def __init__(
        self, job: int, image: str | None, *, quiet: bool, outlook: Outlook | None = None
    ) -> None:
        """``image`` is None for a host job: its command is this process's own to start."""
        self._outlook = outlook
        self._job, self._is_here = job, image is None
        self._quiet = quiet
        self._said = ""
        self._attempt = 1
        self._ran = image is None  # its command is started here
        self._gave_up = False
        self.tail = OutputTail()
        self._progress = PullProgress(image or "", quiet=quiet)

    def event(self, data: bytes) -> str:
        """Tell one change of the job; return its state."""
        try:
            body: dict[str, Any] = json.loads(data)
            job = decode(JobView, body["job"])
        except (ValueError, KeyError, TypeError):
            return "RUNNING"
        self.turn = body.get("turn")
        self._tell_again(job)
        progress = body.get("progress")
        if progress:
            self._progress.update(progress)
        elif job.state == "PENDING":
            self._waits(decode_list(BlockerView, body.get("blockers") or []))
        else:
            self.close()
            if self._outlook is not None:
                self._outlook.over = True
            self._ran = self._ran or job.state == "RUNNING"
            if job.state == "RUNNING" and not self._is_here:
                self._say(f"job {job.id} runs{_place(job)}")
        return job.state

    def gives_up(self) -> bool:
        """Whether the job cannot start; said once."""
        if self.trouble is None or self._gave_up:
            return False
        self.close()
        terminal.complain(f"job {self._job} cannot start and is cancelled: {self.trouble}")
        self._gave_up = True
        return True

    def close(self) -> None:
        """Take the pull's progress off the terminal."""
        self._progress.close()

    def _tell_again(self, job: JobView) -> None:
        """Say once of each attempt but the first that there is one, or will be."""
        waits = job.state in ("COMPLETING", "PENDING") and job.outcome is None
        attempt = job.attempt + 1 if waits and job.message and job.attempt else job.attempt
        if attempt > self._attempt and job.reason not in HELD:
            self._attempt = attempt
            verb = "runs again" if self._ran else "is queued again"
            self._say(f"job {job.id} {verb}" + (f" ({job.message})" if job.message else ""))

    def _waits(self, blockers: list[BlockerView]) -> None:
        kinds = {each.kind for each in blockers}
        self.trouble = next((b.have for b in blockers if b.kind in HELD_FOR_TROUBLE), None)
        if kinds == {"ImagePull"} and blockers[0].have == "being pulled":
            self._progress.update({})
        elif kinds - {"ImagePull"} or (kinds and blockers[0].have == "waits for other pulls"):
            # That an image is looked up here is not worth a line on every run.
            why = "; ".join(f"{each.kind}: needs {each.need}, {each.have}" for each in blockers)
            self._say(f"job {self._job} waits: {why}")
            if kinds & KINDS and self._outlook is not None and not self._quiet:
                self._outlook.ask()

    def _say(self, text: str) -> None:
        if text != self._said and not self._quiet:
            self.close()
            terminal.say(text)
        self._said = text


def _place(job: JobView) -> str:
    spec = job_format.gpus(job)
    if not spec or not job.slices:
        return ""
    return f" on {spec} ({', '.join(job.slices)})"
