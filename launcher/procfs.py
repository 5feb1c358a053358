"""Lines of files below /proc and /sys.

``str.splitlines`` also splits at vertical tabs, form feeds, U+0085, U+2028 and others,
``bytes.splitlines`` at carriage returns. The kernel escapes none of them: a user who mounts a file
system at such a path, or names a process so, could add lines of their own (proc_pid_mountinfo(5)
escapes space, tab, line feed and backslash).
"""

from __future__ import annotations

from pathlib import Path


def lines(text: str) -> list[str]:
    """Return the lines of a text, split at line feeds alone; empty ones are left out.

    >>> lines("a\\x0bb\\n\\nc\\n") == ["a\\x0bb", "c"]
    True
    """
    return [line for line in text.split("\n") if line]


def read_text(path: Path) -> str:
    """Return a file's text; bytes that are not UTF-8 become surrogates. Raises ``OSError``.

    ``Path.read_text`` would turn carriage returns into line feeds.
    """
    return path.read_bytes().decode("utf-8", "surrogateescape")


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file; raises ``OSError``."""
    return lines(read_text(path))
