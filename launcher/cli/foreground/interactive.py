"""An interactive job in the foreground: queued, attached to when it runs, left or ended."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from launcher.cli.foreground.detach_keys import DetachKeys
from launcher.cli.foreground.following import Narrator, end_status, job_goes_on, tell_end
from launcher.cli.foreground.interrupts import Interrupts
from launcher.cli.foreground.outlook import Outlook
from launcher.cli.foreground.terminal_session import SessionEnd, TerminalSession
from launcher.cli.output import terminal
from launcher.cli.output.escapes import Cleaner
from launcher.cli.output.exit_codes import exit_status
from launcher.client import Client
from launcher.client.decode import decode
from launcher.errors import LauncherError, StaleRequest, UserError
from launcher.wire import END, EVENT, STDERR, STDOUT, Frame, JobView

if TYPE_CHECKING:
    from launcher.spec.job_spec import JobSpec
    from launcher.wire import RegistryAuth

LINES = 10
SETTLE_SECONDS = 2.0
"""A job that still runs after this time since the end of its stream has lost its connection."""


def run_interactively(
    client: Client,
    request: JobSpec,
    credentials: Mapping[str, RegistryAuth],
    keys: bytes,
    *,
    quiet: bool,
) -> int:
    """Queue the job, attach to it when it runs, and return its exit status; 0 when detached."""
    with Interrupts(client) as interrupts:
        job = client.submit([request], credentials)[0]
        interrupts.queued(job.id)
        narrator = Narrator(job.id, request.image, quiet=quiet, outlook=Outlook(client, job.id))
        stay = Stay(client, job.id, keys, sends=request.stdin_open, redraws=False)
        end = _until_ended(client, job, narrator, interrupts, stay)
    if end is None:
        tell_left(job.id)
        return 0
    return end_status(end, narrator, interrupts, quiet=quiet or _is_seen(request, end))


def attach_again(client: Client, ref: str, keys: bytes, *, take: bool, watch: bool) -> int:
    """Attach to a job, once it runs; return its exit status when it ends, 0 when detached."""
    detail = client.show(ref)
    job, spec = detail.job, detail.spec
    if spec is None or not (spec.stdin_open or spec.tty):
        return _follow_plain(client, job)
    sends = spec.stdin_open and not watch
    if sends and spec.tty and not os.isatty(0):
        raise UserError("stdin is not a terminal", fix="Give --watch to see its output alone.")
    stay = Stay(client, job.id, keys, sends=sends, redraws=spec.tty, take=take, watch=watch)
    if job.state in ("PENDING", "STARTING"):
        with Interrupts(client) as interrupts:
            interrupts.queued(job.id)
            interrupts.state(job.state)
            narrator = Narrator(job.id, spec.image, quiet=False, outlook=Outlook(client, job.id))
            end = _until_ended(client, job, narrator, interrupts, stay)
        if end is not None:
            return end_status(end, narrator, interrupts, quiet=_is_seen(spec, end))
    elif stay.attend() is not SessionEnd.DETACHED:
        end = client.wait(job.id)
        tell_end(end, quiet=_is_seen(spec, end))
        return exit_status(end)
    tell_left(job.id)
    return 0


def _is_seen(spec: JobSpec, end: JobView) -> bool:
    """Whether the terminal has shown why the job ended: its command ended on its own."""
    return spec.tty and end.outcome in ("COMPLETED", "FAILED")


def _show(frame: Frame, cleaner: Cleaner) -> None:
    """Write a piece of output to where it belongs; other frames have none."""
    if frame.stream in (STDOUT, STDERR):
        fd = 2 if frame.stream == STDERR else 1
        terminal.write(fd, cleaner.clean(fd, frame.data))


def _follow_plain(client: Client, job: JobView) -> int:
    """Follow the output of a job that reads nothing, from its last lines on."""
    terminal.say(
        f"job {job.ref} has no terminal: Ctrl-C goes to the job;"
        f" `launch logs -f {job.ref}` only reads"
    )
    cleaner = Cleaner(raw=False)
    with Interrupts(client, ends_job=False) as interrupts:
        interrupts.queued(job.id)
        interrupts.state(job.state)
        for frame in client.logs(job.id, follow=True, tail=LINES):
            with job_goes_on(job.id):
                _show(frame, cleaner)
        return exit_status(client.wait(job.id))


def tell_left(job: int) -> None:
    """Say that the job goes on without this client."""
    terminal.say(f"detached: job {job} goes on; `launch attach {job}` comes back to it")


def _until_ended(
    client: Client, job: JobView, narrator: Narrator, interrupts: Interrupts, stay: Stay
) -> JobView | None:
    """Attach to each attempt; return the job as it ended, None when detached."""
    seen = 0
    for frame in client.follow(job.id, output=False):
        view = job
        if frame.stream == EVENT:
            interrupts.state(narrator.event(frame.data))
            view = decode(JobView, json.loads(frame.data)["job"])
            if narrator.gives_up():
                client.cancel(job.id)
        elif frame.stream == END:
            view = decode(JobView, json.loads(frame.data))
        if view.started_at is not None and view.attempt > seen and view.state != "STARTING":
            seen = view.attempt
            narrator.close()
            if stay.attend() is SessionEnd.DETACHED:
                return None
        if frame.stream == END:
            return view
    return client.wait(job.id)


class Stay:
    """Stays with a job's terminal, also when the connection breaks.

    Piped input goes to one connection alone: to another one it would come with a gap.
    """

    def __init__(
        self,
        client: Client,
        job: int,
        keys: bytes,
        *,
        sends: bool,
        redraws: bool,
        take: bool = False,
        watch: bool = False,
    ) -> None:
        self._client, self._job, self._keys = client, job, keys
        self._sends, self._redraws, self._take, self._watch = sends, redraws, take, watch
        self._is_spent = False

    def attend(self) -> SessionEnd:
        """Stay until the attempt has ended, or until the keys that detach."""
        while True:
            try:
                attached = self._client.terminal.attach(
                    self._job, take=self._take, watch=self._watch
                )
            except StaleRequest:  # it has ended before: all of its output is in its log
                self._print_log()
                return SessionEnd.STREAM
            if not attached.writes and self._sends and not self._watch:
                terminal.say(
                    f"another client writes to job {self._job}: you watch"
                    f" (`launch attach --take {self._job}` writes instead)"
                )
            if self._is_spent:
                terminal.say(
                    f"some input may be lost, so nothing more is sent to job {self._job};"
                    f" its input stays open (`launch attach --take {self._job}` writes to it)"
                )
            keys = DetachKeys(self._keys) if attached.raw else None
            sends = self._sends and not self._watch and not self._is_spent
            session = TerminalSession(attached, sends=sends, keys=keys)
            resize = self._resize if attached.raw and attached.writes else None
            with job_goes_on(self._job):
                end = session.run(resize)
            if end is SessionEnd.DETACHED:
                return end
            self._is_spent = self._is_spent or (session.has_read and not attached.raw)
            self._take = False  # or two clients would take it from each other without end
            runs = self._client.wait(self._job, 0).state == "RUNNING"
            if runs and attached.writes and self._is_taken():
                continue
            if self._client.wait(self._job, SETTLE_SECONDS).state != "RUNNING":
                return SessionEnd.STREAM
            terminal.say(f"the connection to job {self._job} broke; attaching again")
            self._redraws = True

    def _is_taken(self) -> bool:
        """Whether another client writes now: then this one was parted from the terminal."""
        try:
            view = self._client.show(self._job).terminal
        except LauncherError:
            return False
        return view is not None and view.writes

    def _resize(self, rows: int, columns: int) -> None:
        second = Client(self._client.socket, timeout=5)
        try:
            if self._redraws:  # another size first: a program on the whole screen draws it again
                second.terminal.resize(self._job, rows + 1, columns)
                self._redraws = False
            second.terminal.resize(self._job, rows, columns)
        except LauncherError:
            return  # the next change tells it

    def _print_log(self) -> None:
        cleaner = Cleaner(raw=False)
        for frame in self._client.logs(self._job):
            _show(frame, cleaner)
