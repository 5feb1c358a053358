"""``python -m launcher.host.systemd.become``: the first program of a job's service.

The command comes over a socket, its stdin, because systemd shows a unit's properties to every user
and the environment may contain secrets. systemd has set the user, the groups and PAM's additions.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import NoReturn

from launcher.host.helper.children import (
    NEVER_BEGAN,
    RECEIVED,
    Command,
    CommandFiles,
    failure,
    reset_signals,
    take_files,
)


def main() -> NoReturn:
    """Execute the command; report an error to the helper."""
    with socket.socket(fileno=os.dup(0)) as helper:
        passed = socket.recv_fds(helper, 1, 5)[1]
    if not passed:
        os._exit(NEVER_BEGAN)
    described, stdout, stderr, report_fd, *stdin = passed
    with contextlib.suppress(BrokenPipeError):  # the helper died; the start is recorded
        os.write(report_fd, RECEIVED)
    command = Command.read(described)
    os.set_inheritable(report_fd, False)  # closing it signals that the command executes
    take_files(CommandFiles(stdout, stderr, *stdin))
    for fd in (described, stdout, stderr, *stdin):
        os.close(fd)
    os.environ.pop("JOURNAL_STREAM", None)
    reset_signals()
    place = ""
    try:
        place = command.directory
        os.chdir(place)
        place = command.words[0]
        environment = {**command.login, **os.environ, **command.environment}
        os.execvpe(place, list(command.words), environment)
    except OSError as error:
        os.write(report_fd, failure(error, place))
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
