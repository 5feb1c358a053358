"""One ssh connection that forwards the daemon's socket to a private directory of this machine."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
from collections.abc import Callable

from launcher.client.ssh import failures
from launcher.client.ssh.address import SshAddress
from launcher.client.ssh.control import Control, control_of, control_path, escaped
from launcher.client.ssh.keeper import SshKeeper
from launcher.client.ssh.remote_account import AccountReport, remote_command
from launcher.client.ssh.terminal_modes import TerminalModes
from launcher.config.default_paths import SYSTEM_SOCKET

QUIET_SECONDS = 0.3
"""If ssh has said something and waits for this time, the user sees it: a security key to touch."""
FORWARD_SECONDS = 20.0
_PIECE = 64 * 1024
_PROBE = b"GET / HTTP/1.1\r\nHost: launcher\r\nConnection: close\r\n\r\n"
_PROBE_SECONDS = 10.0
_OPTIONS = (
    "-T", "-a", "-x", "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none",
    "-o", "PermitLocalCommand=no",
)  # fmt: skip
"""Nothing of the user's configuration that is meant for sessions at a terminal."""


class Tunnel:
    """An open connection; ``path`` is the local socket.

    Over the user's own open connection no session is needed if the daemon is where it is expected.
    """

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
        self._keeper = SshKeeper()
        self._report: AccountReport | None = None
        self.remote = address.path or SYSTEM_SOCKET
        terminal = TerminalModes()
        try:
            self._control = self._new_control()
            if not (self._control.is_open and self._forward_at_once()):
                self._forward_as_reported()
        except BaseException:
            self.close()
            terminal.restore()
            raise

    @property
    def path(self) -> str:
        """The local socket."""
        return self._keeper.socket

    def close(self) -> None:
        """End the connection; one that is the user's own stays."""
        self._keeper.close()

    def is_refused(self) -> bool:
        """Whether ssh has said that the other machine could not connect to the socket."""
        return "open failed" in self._keeper.log()

    def report(self) -> AccountReport:
        """Return what the other machine's shell reports; raises ``LauncherError``."""
        if self._report is None:
            report = AccountReport()
            for line in self._output(self._session()).splitlines():
                report.line(line)
            self._report = report
        return self._report

    def _new_control(self) -> Control:
        ask = not self._again and self._until is None
        return control_of(self._address, self._keeper.directory, ask=ask)

    def _session(self) -> list[str]:
        command = remote_command(self._address.path)
        return ["ssh", *_OPTIONS, *self._control.options, *self._address.words, command]

    def _forward_at_once(self) -> bool:
        """Forward the expected socket; return whether a daemon replies there."""
        self._keeper.start(self._control, [])
        self._forward()
        if self._replies():
            return True
        self._keeper.close()
        self._keeper = SshKeeper()
        return False

    def _forward_as_reported(self) -> None:
        """Open a session that looks for the socket, and forward that."""
        output = self._keeper.start(self._control, self._session())
        self._report = self._read_report(output)
        if self._report.socket is None:
            raise failures.no_socket(self._address, self._report)
        self.remote = self._report.socket
        self._forward()
        if self._control.is_shared and not self._replies():
            raise failures.no_reply(self._address, self.remote)

    def _read_report(self, output: int) -> AccountReport:
        report, rest, said = AccountReport(), b"", 0
        while not report.complete:
            if select.select([output], [], [], QUIET_SECONDS)[0]:
                piece = os.read(output, _PIECE)
                if not piece:
                    text = self._keeper.log() or "\n".join(report.other)
                    raise failures.failed(self._address, text, again=self._again)
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    report.line(line.decode(errors="surrogateescape"))
            else:
                said = self._pass_on(said)
            if self._until is not None and time.monotonic() > self._until:
                raise failures.SshLost(f"{self._address.url} did not answer in time")
        return report

    def _pass_on(self, said: int) -> int:
        """Show what ssh has said while it waits; return how much of it was shown."""
        text = self._keeper.log()
        if text[said:].strip() and not self._again and self._until is None:
            self._notice(text[said:].strip())
        return len(text)

    def _forward(self) -> None:
        """Let the connection's master forward the socket; it listens when this returns."""
        forward = f"{escaped(self.path)}:{escaped(self.remote)}"
        self._keeper.note(forward)
        control = ["-F", "/dev/null", "-o", control_path(self._control.path)]
        self._output(["ssh", *control, "-O", "forward", "-L", forward, "launcher"])

    def _replies(self) -> bool:
        """Whether a daemon is at the other end of the local socket, also a slow one."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(self._left(_PROBE_SECONDS))
            try:
                probe.connect(self.path)
                probe.sendall(_PROBE)
                return bool(probe.recv(1))
            except TimeoutError:
                return True
            except OSError:
                return False

    def _left(self, most: float) -> float:
        """Return how many seconds a step may take."""
        return most if self._until is None else min(most, max(self._until - time.monotonic(), 0.01))

    def _output(self, words: list[str]) -> str:
        """Return what a short ssh command prints; raises ``LauncherError``."""
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self._left(FORWARD_SECONDS),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise failures.SshLost(f"the connection to {self._address.url} hangs") from None
        if done.returncode:
            raise failures.failed(self._address, done.stderr, again=self._again)
        return done.stdout
