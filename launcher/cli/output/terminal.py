"""What reaches the terminal: text without control characters, errors as sentences."""

from __future__ import annotations

import errno
import os
import sys

from launcher.errors import LauncherError
from launcher.text.safe_text import safe

BROKEN_PIPE = 141
"""The exit status where our stdout was closed: as a shell shows a death by SIGPIPE."""

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)
EXIT_UNWRITABLE = 125
"""The exit status where our stdout takes nothing more: never one that a job's could be."""


def prepare() -> None:
    """Make sure that all three streams are there, and that no character can fail to be printed."""
    _occupy()
    # A stream that is closed is None, whatever its type says.
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")


def _occupy() -> None:
    """Put something where a stream is closed: no file or socket may get its number.

    What is read there is empty, what is written to stderr goes nowhere, and stdout fails as a
    closed one does.
    """
    for fd, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)


def say(text: str) -> None:
    """Print a line for people, on stderr."""
    write(2, (safe(text, newlines=True) + "\n").encode(errors="backslashreplace"), quiet=True)


def complain(text: str) -> None:
    """Print what is wrong, on stderr."""
    say(f"launch: {text}")


def report(error: LauncherError) -> int:
    """Print an error and what to do next; return its exit code."""
    if _debugging():
        _traceback()
    complain(error.message + (f"\n  {error.fix}" if error.fix else ""))
    return error.exit_code


def report_internal(error: Exception) -> int:
    """Print that there is a bug in the launcher; return 1."""
    if _debugging():
        _traceback()
    complain(
        f"internal error: {type(error).__name__}: {error}\n"
        "  Please report it; set LAUNCHER_DEBUG=1 for the traceback."
    )
    return 1


def write(fd: int, data: bytes, *, quiet: bool = False) -> None:
    """Write all of ``data``, unbuffered; ``quiet`` forgets what a closed pipe does not take."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            import select

            select.select([], [fd], [])
        except OSError:
            if quiet:
                return
            raise


def forget_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush cannot fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def width() -> int | None:
    """Return the terminal's width if stdout is one, else None: nothing is cut then."""
    try:
        # A terminal that does not know its width (a serial console) says 0.
        return (os.get_terminal_size(1).columns or None) if os.isatty(1) else None
    except OSError:
        return None


def can_redraw() -> bool:
    """Whether the terminal can move its cursor, by the name of its kind (TERM)."""
    return os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def _debugging() -> bool:
    return os.environ.get("LAUNCHER_DEBUG") == "1"


def _traceback() -> None:
    import traceback

    say(traceback.format_exc().rstrip())
