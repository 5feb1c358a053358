"""File descriptors that systemd passed to this process (sd_listen_fds(3)).

The first is the socket that it listens on, if it does. The others come from its file descriptor
store, each under the name that an earlier life of the daemon gave it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

STORED = "exit_"
"""Begins the names of what the daemon stores: pidfds of running jobs."""
_START = 3


def stored(environment: Mapping[str, str] = os.environ) -> dict[str, int]:
    """Return the stored file descriptors by the rest of their names."""
    names = _names(environment)
    return {
        name.removeprefix(STORED): _START + number
        for number, name in enumerate(names)
        if name.startswith(STORED)
    }


def listener(environment: Mapping[str, str] = os.environ) -> int | None:
    """Return the socket that was passed: the one that is not of the store, None without one."""
    for number, name in enumerate(_names(environment)):
        if not name.startswith(STORED):
            return _START + number
    return None


def named(environment: Mapping[str, str] = os.environ) -> dict[str, int]:
    """Return the file descriptors by their names (FileDescriptorName=, systemd.socket(5))."""
    return {name: _START + number for number, name in enumerate(_names(environment))}


def _names(environment: Mapping[str, str]) -> list[str]:
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environment.get("LISTEN_FDS", "")
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    return (names + [""] * int(count))[: int(count)] if count.isdecimal() else []
