"""What the other machine's shell reports: the daemon's socket there, and whose account it is.

A POSIX shell is all that the other machine needs; the launcher need not be in its PATH.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from launcher.config.default_paths import SYSTEM_SOCKET

_MARK = "LAUNCHER-REPORT"
_END = f"{_MARK} END"
_USUAL = (
    "r=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; s=${XDG_STATE_HOME:-$HOME/.local/state}; "
    f'set -- {SYSTEM_SOCKET} ${{LAUNCHER_SOCKET:+"$LAUNCHER_SOCKET"}}'
    ' "$r/launcher/launcher.sock" "$s/launcher/launcher.sock"; '
)
_REPORT = (
    f'echo; m={_MARK}; echo "$m USER $(id -un)"; echo "$m HOME $(cd && pwd -P)"; '
    'for p in "$@"; do if [ -S "$p" ] && [ -w "$p" ]; then echo "$m SOCKET $p"; break; fi; '
    'if [ -S "$p" ]; then echo "$m DENIED $p"; else echo "$m ABSENT $p"; fi; done; '
)
_HOLD = f"echo {_END}; exec cat >/dev/null"
"""The session lasts until its standard input ends."""


def remote_command(path: str | None) -> str:
    """Return the command for the other machine's login shell, of whatever kind that is.

    ``path`` is the only socket to look at; None looks at the usual ones. One line, because
    csh takes no line breaks within quotes.
    """
    where = _USUAL if path is None else f"set -- {_quoted(path)}; "
    return f"exec sh -c {_quoted(where + _REPORT + _HOLD)}"


def _quoted(text: str) -> str:
    """Return a text as one word of any shell; importing ``shlex`` takes longer than a request."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


@dataclass
class AccountReport:
    """The report as it arrives. ``socket`` is None if there is none that the user may use."""

    user: str = ""
    home: str = ""
    socket: str | None = None
    denied: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    complete: bool = False
    other: list[str] = field(default_factory=list)
    """Lines that are not part of it, from the account's start files."""

    def line(self, text: str) -> None:
        """Note one line of standard output."""
        if text == _END:
            self.complete = True
        elif not text.startswith(f"{_MARK} "):
            self.other += [text] if text.strip() else []
        else:
            _, kind, value = text.split(" ", 2)
            if kind == "USER":
                self.user = value
            elif kind == "HOME":
                self.home = value
            elif kind == "SOCKET":
                self.socket = value
            else:
                (self.denied if kind == "DENIED" else self.absent).append(value)
