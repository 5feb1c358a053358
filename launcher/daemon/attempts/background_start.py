"""Starts host jobs in the background: as their user, in a clean environment, with a log."""

from __future__ import annotations

import contextlib
import errno
import pwd
from collections.abc import Callable, Mapping
from dataclasses import replace

from launcher.core.messages.actions import StartAttempt
from launcher.core.messages.events import StartFailure
from launcher.core.policy.policy import PolicyInput
from launcher.daemon.attempts.start_errors import NotStarted, must_be_wanted
from launcher.daemon.mounts.mounts import user_of
from launcher.daemon.output.host_output import HostOutput
from launcher.daemon.output.retrying import insist
from launcher.host.cgroup import CgroupLimits
from launcher.host.client import HostHelper, HostRefused, HostUnavailable, ProcessTree
from launcher.host.helper.children import Command
from launcher.host.terminal.connecting import TerminalSockets
from launcher.host.terminal.connecting import words as terminal_words

CANNOT_RUN, NOT_FOUND = 126, 127
"""Exit codes, as shells give them."""
PATH, ROOTS_PATH = (
    "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)
"""ENV_PATH and ENV_SUPATH of Debian's login.defs(5)."""


def spawned(
    action: StartAttempt,
    request: PolicyInput,
    variables: Mapping[str, str],
    helper: HostHelper,
    output: HostOutput,
    terminals: TerminalSockets,
    wanted: Callable[[], bool],
) -> ProcessTree:
    """Start an attempt's command and capture its output; return its process tree.

    ``variables`` are the launcher's own. If it raises ``NotStarted``, no part of it runs.
    """
    command = command_of(request, variables)
    limits = CgroupLimits(request.spec.mem_limit, request.spec.cpus)
    name = action.container_name
    try:
        with contextlib.ExitStack() as stack:
            stdin = None
            if request.spec.tty:
                command = replace(command, words=terminal_words(tuple(command.words)))
                stdin = stack.enter_context(terminals.listening(name)).fileno()
            files = stack.enter_context(output.pipes(action))
            must_be_wanted(wanted)
            return helper.spawn(name, command, limits, *files, stdin=stdin)
    except HostRefused as refused:
        raise _not_started(refused, command) from refused
    except HostUnavailable as away:
        # The helper records a command before it starts. Without a record it did not start.
        tree = insist(lambda: helper.state(action.container_name)[0])
        if tree is None:
            raise NotStarted(StartFailure.INFRA, away.message) from away
        return tree
    except OSError as error:
        text = f"host job: its output or its terminal has no place: {error.strerror or error}"
        raise NotStarted(StartFailure.INFRA, text) from error


def command_of(request: PolicyInput, variables: Mapping[str, str]) -> Command:
    """Return the command as the user's login would run it, in a clean environment plus the job's.

    Raises ``NotStarted`` for a user who cannot log in.
    """
    spec, uid = request.spec, request.person.owner.uid
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        text = f"uid {uid} has no entry in passwd, so it cannot log in"
        raise NotStarted(StartFailure.USER, text) from error
    login = {
        "HOME": entry.pw_dir,
        "LOGNAME": entry.pw_name,
        "PATH": PATH if uid else ROOTS_PATH,
        "SHELL": entry.pw_shell or "/bin/sh",
        "USER": entry.pw_name,
    }
    environment = {**dict(spec.environment), **variables}
    user = user_of(request.person)
    directory = spec.working_dir or entry.pw_dir
    arguments = spec.command or ()
    return Command(arguments, login, environment, directory, uid, user.gid, user.groups)


def _not_started(refused: HostRefused, command: Command) -> NotStarted:
    """Explain why a command does not run: its program, its directory, or the launcher."""
    if refused.place == command.words[0]:
        code = NOT_FOUND if refused.errno == errno.ENOENT else CANNOT_RUN
        return NotStarted(StartFailure.USER, f"command: {refused.message}", code)
    if refused.place == command.directory:
        return NotStarted(StartFailure.USER, f"working_dir: {refused.message}")
    return NotStarted(StartFailure.INFRA, f"host job: {refused.message}")
