"""What launcher.toml says, as a daemon reads it."""

from __future__ import annotations

from launcher.config.reading import parse, read
from launcher.config.settings import LauncherToml


def toml(text: str) -> LauncherToml:
    """Return what a text says, read as the file ``launcher.toml``."""
    values = {"socket": "/s", "state_dir": "/d"} | parse(text, "launcher.toml")
    found: LauncherToml = read(LauncherToml, values, "launcher.toml", text)
    return found
