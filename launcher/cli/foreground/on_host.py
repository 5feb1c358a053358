"""A host job in the foreground: queued first, then a child of this process; each time it runs."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from launcher.cli.foreground.following import Narrator, end_status, follow
from launcher.cli.foreground.interrupts import Interrupts
from launcher.cli.foreground.outlook import Outlook
from launcher.cli.output import terminal
from launcher.cli.output.exit_codes import EXIT_NEVER_RAN
from launcher.client import Client
from launcher.errors import LauncherError
from launcher.pidfd import exit_code

if TYPE_CHECKING:
    from launcher.spec.job_spec import JobSpec

CANNOT_RUN, NOT_FOUND = 126, 127
_ENDED = (signal.SIGTERM, signal.SIGKILL)
"""The signals with which the launcher ends a job."""
_ASK_SECONDS = 5.0
"""The daemon answers within this time whether a command runs again."""


def run_on_host(client: Client, request: JobSpec, *, quiet: bool, interactive: bool) -> int:
    """Queue the job, run its command when it is its turn, and return its exit status.

    The command of an ``interactive`` one gets SIGHUP if this process dies, as from a terminal.
    """
    job = client.submit([request])[0]
    narrator = Narrator(job.id, None, quiet=quiet, outlook=Outlook(client, job.id))
    requeues = 0
    while True:
        with Interrupts(client) as interrupts:
            interrupts.queued(job.id)
            end = follow(client, job, narrator, interrupts, raw=False)
        if (turn := narrator.turn) is None:
            return end_status(end, narrator, interrupts, quiet=quiet)
        narrator.turn = None
        environment = {**os.environ, **request.environment, **_variables(turn)}
        status = _run(request.command or [], environment, turn, interactive=interactive)
        if _may_run_again(request, status):
            continue
        requested = _requeues(client, job.id)
        if requested is None or (requested == requeues and not _was_ended(status)):
            return exit_code(status)
        requeues = requested


def _may_run_again(request: JobSpec, status: int) -> bool:
    """Whether the daemon may run a command once more that ended with a wait status.

    A command that must give way may exit with 0 when it is asked to.
    """
    return request.preemptible or (bool(status) and request.retries is not None)


def _was_ended(status: int) -> bool:
    """Whether the daemon may have ended a command."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in _ENDED


def _requeues(client: Client, job: int) -> int | None:
    """Return how often a job was requeued; None where the daemon cannot be asked.

    A request is in the job's history before its command gets a signal.
    """
    try:
        events = Client(client.socket, timeout=_ASK_SECONDS).show(str(job)).events
    except LauncherError:
        return None
    return sum(event.event == "RequeueAsked" for event in events)


def _variables(turn: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that the daemon gives a command: no others, whatever it says."""
    variables = turn.get("environment") or {}
    ours = {key: value for key, value in variables.items() if key.startswith("LAUNCHER_")}
    return {**ours, "CUDA_VISIBLE_DEVICES": str(variables.get("CUDA_VISIBLE_DEVICES", ""))}


def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    turn: Mapping[str, Any],
    *,
    interactive: bool,
) -> int:
    """Run a command as a child on this terminal; returns its wait status.

    Ctrl-C and such reach it by the terminal; what is sent to this process alone is passed on.
    """
    from launcher.host.joining import report

    sys.stdout.flush()
    sys.stderr.flush()
    ours = (signal.SIGINT, signal.SIGQUIT)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ours}
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        for number, handler in before.items():
            signal.signal(number, handler)
        _become(command, environment, turn, parent if interactive else None)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        before[number] = signal.signal(number, lambda number, _: os.kill(pid, number))
    status = os.waitpid(pid, 0)[1]
    for number, handler in before.items():
        signal.signal(number, handler)
    report(turn["socket"], turn["token"], status)
    return status


def _become(
    command: Sequence[str],
    environment: Mapping[str, str],
    turn: Mapping[str, Any],
    parent: int | None,
) -> NoReturn:
    """Join the job's cgroup and execute the command; the life of the child.

    It is hung up with ``parent``, if there is one.
    """
    from launcher.host.joining import hang_up_with, join

    code = EXIT_NEVER_RAN
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it
        if parent is not None:
            hang_up_with(parent)
        join(turn["socket"], turn["token"])
        os.execvpe(command[0], list(command), dict(environment))
    except LauncherError as error:
        terminal.complain(error.message)
    except OSError as error:
        code = NOT_FOUND if error.errno == errno.ENOENT else CANNOT_RUN
        terminal.complain(f"cannot run {command[0]}: {error.strerror}")
    finally:
        os._exit(code)
