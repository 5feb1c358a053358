"""One ssh connection with the daemon's socket forwarded to a private directory.

A shell stands between: it ends ssh, takes the forwarding back and removes the directory when this
process ends, also if it is killed. It learns that from a pipe that only this process writes to.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable

from launcher.client.ssh import failures
from launcher.client.ssh.address import SshAddress
from launcher.client.ssh.control import Control, control_of, escaped
from launcher.client.ssh.remote_account import AccountReport, remote_command

LONGEST_DIRECTORY = 70
"""A socket's path has at most 104 bytes on some systems, and ssh adds a suffix while it binds."""
QUIET_SECONDS = 0.3
"""If ssh has said something and waits for this time, the user sees it: a security key to touch."""
CLOSE_SECONDS, FORWARD_SECONDS = 5.0, 20.0
_PIECE = 64 * 1024

KEEPER = """\
trap '' HUP INT QUIT TERM
directory=$1 control=$2 shared=$3
shift 3
exec 3<&0
( [ "$shared" = 0 ] || trap - HUP TERM; exec "$@" <&3 3<&- ) &
session=$!
exec >/dev/null 2>&1
while read -r _ <&3; do :; done
kill -9 "$session"
if [ "$shared" = 1 ] && [ -s "$directory/forward" ]; then
    ssh -F /dev/null -o ControlPath="$control" -O cancel -L "$(cat "$directory/forward")" launcher
fi
rm -rf "$directory"
"""
"""ssh ignores the signals of the terminal: the client decides what Ctrl-C means. A shared
connection outlives this client, and has its signals as they were."""

_OPTIONS = (
    "-T", "-a", "-x", "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none",
    "-o", "PermitLocalCommand=no",
)  # fmt: skip
"""Nothing of the user's configuration that is meant for sessions at a terminal."""


class Tunnel:
    """An open connection. ``socket`` is the local path; ``report`` is of the other machine."""

    def __init__(
        self,
        address: SshAddress,
        *,
        again: bool,
        limit_s: float | None,
        notice: Callable[[str], None],
    ) -> None:
        """Connect, or raise ``LauncherError``.

        ssh may ask the user, unless the connection is made ``again`` or ``limit_s`` is given: it
        must then be ready within so many seconds.
        """
        self._address, self._again, self._notice = address, again, notice
        self._until = None if limit_s is None else time.monotonic() + limit_s
        self._directory = _private_directory()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._close: Callable[[], object] = lambda: None
        self.socket = f"{self._directory}/l.sock"
        self.report = AccountReport()
        try:
            control = control_of(address, self._directory, ask=not again and limit_s is None)
            self._start(control)
            self._read_report()
            if self.report.socket is None:
                raise failures.no_socket(address, self.report)
            self._forward(control, self.report.socket)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End ssh and remove the directory."""
        if self._keeper is None:
            with contextlib.suppress(OSError):
                os.rmdir(self._directory)  # noqa: PTH106
        self._close()

    def log(self) -> str:
        """Return what ssh has said."""
        try:
            with open(f"{self._directory}/log", errors="replace") as file:  # noqa: PTH123
                return file.read(_PIECE)
        except OSError:
            return ""

    def _start(self, control: Control) -> None:
        command = remote_command(self._address.path, shlex.quote)
        session = ["ssh", *_OPTIONS, *control.options, *self._address.words, command]
        words = [self._directory, escaped(control.path), str(int(control.is_shared)), *session]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(f"{self._directory}/log", flags, 0o600)
        try:
            self._keeper = subprocess.Popen(
                ["sh", "-c", KEEPER, "sh", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )
        finally:
            os.close(log)
        self._close = weakref.finalize(self, _end, self._keeper)
        self._close.atexit = False  # the end of the pipe is enough

    def _read_report(self) -> None:
        """Read standard output up to the report's end."""
        assert self._keeper is not None
        assert self._keeper.stdout is not None
        rest, said = b"", 0
        while not self.report.complete:
            if select.select([self._keeper.stdout], [], [], QUIET_SECONDS)[0]:
                piece = os.read(self._keeper.stdout.fileno(), _PIECE)
                if not piece:
                    text = self.log() or "\n".join(self.report.other)
                    raise failures.failed(self._address, text, again=self._again)
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self.report.line(line.decode(errors="surrogateescape"))
            else:
                said = self._pass_on(said)
            self._check_time()

    def _pass_on(self, said: int) -> int:
        """Show what ssh has said while it waits; return how much of it was shown."""
        text = self.log()
        if text[said:].strip() and not self._again and self._until is None:
            self._notice(text[said:].strip())
        return len(text)

    def _check_time(self) -> None:
        if self._until is not None and time.monotonic() > self._until:
            raise failures.SshLost(f"{self._address.url} did not answer in time")

    def _forward(self, control: Control, remote: str) -> None:
        """Let the connection's master forward the socket; it listens when this returns."""
        forward = f"{self.socket}:{remote}"
        with open(f"{self._directory}/forward", "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(forward)
        options = ["-F", "/dev/null", "-o", f"ControlPath={escaped(control.path)}"]
        try:
            done = subprocess.run(
                ["ssh", *options, "-O", "forward", "-L", forward, "launcher"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=FORWARD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise failures.SshLost(f"the connection to {self._address.url} hangs") from None
        if done.returncode:
            raise failures.failed(self._address, done.stderr, again=self._again)


def _end(keeper: subprocess.Popen[bytes]) -> None:
    """Close the keeper's pipe, and wait until it has cleaned up."""
    for pipe in (keeper.stdin, keeper.stdout):
        if pipe is not None:
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        keeper.wait(CLOSE_SECONDS)


def _private_directory() -> str:
    """Return a new directory that only the user can enter, with a short path."""
    place = os.environ.get("XDG_RUNTIME_DIR")
    if place and len(place) < LONGEST_DIRECTORY and os.access(place, os.W_OK):
        with contextlib.suppress(OSError):
            return tempfile.mkdtemp(prefix="launcher-ssh-", dir=place)
    made = tempfile.gettempdir()
    return tempfile.mkdtemp(
        prefix="launcher-ssh-", dir=made if len(made) < LONGEST_DIRECTORY else "/tmp"
    )
