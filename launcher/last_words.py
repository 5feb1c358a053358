"""Why a daemon could not start, kept beside its socket: for a client that finds nobody there.

For the client and the daemon both. A service's log is not for everybody to read, and a daemon that
did not start answers nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time

from launcher.errors import LauncherError

MOST_BYTES = 32 * 1024
_MOST_LETTERS = 2000


def path_of(socket: str) -> str:
    """Return the file of the daemon on this socket."""
    return f"{socket}.failed"


def leave(socket: str, error: LauncherError) -> None:
    """Keep why the daemon on this socket did not start; nothing where it cannot be written."""
    words = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "message": error.message[:_MOST_LETTERS],
        "fix": error.fix and error.fix[:_MOST_LETTERS],
    }
    new = f"{path_of(socket)}.new"
    with contextlib.suppress(OSError):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)  # noqa: PTH108
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags), "w", encoding="utf-8", errors="replace") as file:
            os.fchmod(file.fileno(), 0o644)  # whatever the umask: it is for everybody to read
            json.dump(words, file, ensure_ascii=False)
        os.rename(new, path_of(socket))  # noqa: PTH104


def clear(socket: str) -> None:
    """Forget an earlier failure: the daemon has started."""
    with contextlib.suppress(OSError):
        os.unlink(path_of(socket))  # noqa: PTH108


def read(socket: str) -> tuple[str, str | None] | None:
    """Return why the daemon on this socket did not start and what to do; None where unknown.

    Only what root or the caller wrote is believed.
    """
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # it may be a pipe
        with os.fdopen(os.open(path_of(socket), flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.getuid()):
                return None
            words = json.loads(file.read(MOST_BYTES))
        fix = words["fix"]
        message = f"it could not start at {words['at']}: {words['message']}"
        return message, None if fix is None else str(fix)
    except (OSError, ValueError, KeyError, TypeError):
        return None
