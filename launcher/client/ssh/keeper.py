"""The shell that stands between this process and ssh, and cleans up however this process ends.

It ends ssh, takes the forwarding back and removes the private directory as soon as a pipe ends to
which only this process has the other end. So nothing is left behind, also by ``kill -9``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import weakref
from collections.abc import Callable, Sequence

from launcher.client.ssh.control import Control, control_path

LONGEST_PLACE = 56
"""ssh binds its control socket with a suffix, and a path may have 104 bytes on some systems."""
_MEANT = frozenset(" \t\"'\\:$")
"""Characters that mean something in ssh's options: the private directory is elsewhere then."""
CLOSE_SECONDS = 5.0
_LOG_BYTES = 64 * 1024

_SCRIPT = """\
trap '' HUP INT QUIT TERM
directory=$1 control=$2 shared=$3
shift 3
exec 3<&0
if [ $# -gt 0 ]; then
    ( [ "$shared" = 0 ] || trap - HUP TERM; exec "$@" <&3 3<&- ) &
    session=$!
fi
exec >/dev/null 2>&1
while read -r _ <&3; do :; done
[ -z "$session" ] || kill -9 "$session"
if [ "$shared" = 1 ] && read -r forward <"$directory/forward"; then
    ssh -F /dev/null -o "$control" -O cancel -L "$forward" launcher
fi
rm -rf "$directory"
"""
"""ssh ignores the signals of the terminal: the client decides what Ctrl-C means. A shared
connection outlives this client, and has its signals as they were."""


class SshKeeper:
    """A private directory, and the shell that removes it. ``socket`` is for the daemon's."""

    def __init__(self) -> None:
        self.directory = _private_directory()
        self.socket = f"{self.directory}/l.sock"
        self._shell: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], object] = lambda: os.rmdir(self.directory)  # noqa: PTH106

    def start(self, control: Control, session: Sequence[str]) -> int:
        """Start the shell and, if given, an ssh session; return the session's output."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(f"{self.directory}/log", flags, 0o600)
        words = [self.directory, control_path(control.path), str(int(control.is_shared)), *session]
        try:
            self._shell = subprocess.Popen(
                ["sh", "-c", _SCRIPT, "sh", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )
        finally:
            os.close(log)
        self._end = weakref.finalize(self, _end, self._shell)
        self._end.atexit = False  # the pipe ends with this process
        assert self._shell.stdout is not None
        return self._shell.stdout.fileno()

    def note(self, forward: str) -> None:
        """Note what is forwarded, to take it back."""
        with open(f"{self.directory}/forward", "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(f"{forward}\n")

    def log(self) -> str:
        """Return what ssh has said."""
        try:
            with open(f"{self.directory}/log", errors="replace") as file:  # noqa: PTH123
                return file.read(_LOG_BYTES)
        except OSError:
            return ""

    def close(self) -> None:
        """End ssh and remove the directory; does nothing the second time."""
        with contextlib.suppress(OSError):
            self._end()


def _end(shell: subprocess.Popen[bytes]) -> None:
    """Close the shell's pipe, and wait until it has cleaned up."""
    for pipe in (shell.stdin, shell.stdout):
        if pipe is not None:
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        shell.wait(CLOSE_SECONDS)


def _private_directory() -> str:
    """Return a new directory that only the user can enter, with a short path."""
    variables = ("XDG_RUNTIME_DIR", "TMPDIR")
    places = [place for name in variables if (place := os.environ.get(name))]
    for place in places:
        if len(place) < LONGEST_PLACE and not _MEANT.intersection(place):
            with contextlib.suppress(OSError):
                return _made_in(place)
    return _made_in("/tmp")


def _made_in(place: str) -> str:
    path = f"{place}/launcher-ssh-{os.urandom(6).hex()}"
    os.mkdir(path, 0o700)  # noqa: PTH102
    return path
