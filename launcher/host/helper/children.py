"""Starts a command as a user, in its cgroup, for background jobs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple, NoReturn

from launcher.host.cgroup import Cgroup

MOST_BYTES = 8 << 20
MOST_ERROR_BYTES = 4096
RECEIVED = b"+"
"""First message of a service's main process, once it has received its command."""
NEVER_BEGAN = 125
"""The exit status of a main process whose helper died before the command started."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run as a user. ``groups`` are all of the user's supplementary groups.

    ``login`` are variables that PAM may override, ``environment`` those of the job.
    """

    words: Sequence[str]
    login: Mapping[str, str]
    environment: Mapping[str, str]
    directory: str
    uid: int
    gid: int
    groups: Sequence[int]

    @contextlib.contextmanager
    def in_memory(self) -> Iterator[int]:
        """Yield a file in memory that contains the command."""
        with in_memory(asdict(self)) as fd:
            yield fd

    @classmethod
    def read(cls, fd: int) -> Command:
        """Return the command in a file; raises ``ValueError``."""
        data = os.pread(fd, MOST_BYTES + 1, 0)
        if len(data) > MOST_BYTES:
            raise ValueError(f"a command is longer than {MOST_BYTES} bytes")
        message = json.loads(data)
        words, groups = (
            [str(word) for word in message["words"]],
            [int(g) for g in message["groups"]],
        )
        login, environment = (
            {str(key): str(value) for key, value in message[which].items()}
            for which in ("login", "environment")
        )
        uid, gid, directory = int(message["uid"]), int(message["gid"]), str(message["directory"])
        return cls(words, login, environment, directory, uid, gid, groups)


class CommandFiles(NamedTuple):
    """The descriptors that a command gets as its output, and as its stdin if it is not empty."""

    stdout: int
    stderr: int
    stdin: int | None = None


@contextlib.contextmanager
def in_memory(content: object) -> Iterator[int]:
    """Yield a file in memory with JSON content, which may exceed the size of a message."""
    fd = os.memfd_create("launcher", os.MFD_CLOEXEC)
    try:
        with open(fd, "w", encoding="utf-8", closefd=False) as file:
            json.dump(content, file)
        yield fd
    finally:
        os.close(fd)


def start(
    command: Command, cgroup: Cgroup, files: CommandFiles, begins: Callable[[int], None]
) -> int:
    """Start a command in a new session; return its pid once it executes.

    ``begins`` is called with the pid before the command can act. Raises ``OSError`` if the kernel
    refused the directory or the program; then nothing runs. Call it in a process with one thread,
    because it forks.
    """
    report_fd, report_end = os.pipe2(os.O_CLOEXEC)
    go, goes = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
        if pid == 0:
            _become(command, go, report_end, files)
        os.close(report_end)
        report_end = -1
        try:
            cgroup.add(pid)
            begins(pid)
            os.write(goes, b"!")
            error = os.read(report_fd, MOST_ERROR_BYTES)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        if error:
            os.waitpid(pid, 0)
            raise failed(error)
        return pid
    finally:
        for fd in (report_fd, report_end, go, goes):
            if fd != -1:
                os.close(fd)


def failure(error: OSError, place: str) -> bytes:
    """Encode the error of a process that cannot execute its command."""
    return f"{error.errno} {place}".encode()[:MOST_ERROR_BYTES]


def failed(report: bytes) -> OSError:
    """Decode the error from ``failure``; raises ``ValueError``."""
    number, _, place = report.decode(errors="replace").partition(" ")
    return OSError(int(number), os.strerror(int(number)), place)


def take_files(files: CommandFiles) -> None:
    """Make the files this process's stdin, stdout and stderr."""
    stdin = os.open(os.devnull, os.O_RDONLY) if files.stdin is None else files.stdin
    for fd, target in ((stdin, 0), (files.stdout, 1), (files.stderr, 2)):
        os.dup2(fd, target)


def reset_signals() -> None:
    """Reset every signal to the kernel's default action."""
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _become(command: Command, go: int, report_end: int, files: CommandFiles) -> NoReturn:
    """Execute the command, once this process is in its cgroup; the child's half of ``start``."""
    place = ""
    try:
        if not os.read(go, 1):
            os._exit(NEVER_BEGAN)
        reset_signals()
        os.setsid()
        os.umask(0o022)
        take_files(files)
        os.setgroups(list(command.groups))
        os.setresgid(command.gid, command.gid, command.gid)
        os.setresuid(command.uid, command.uid, command.uid)
        place = command.directory
        os.chdir(place)  # as the user, who may not enter every directory that root may
        place = command.words[0]
        os.execvpe(place, list(command.words), {**command.login, **command.environment})
    except OSError as error:
        with contextlib.suppress(OSError):
            os.write(report_end, failure(error, place))
    finally:
        os._exit(1)
