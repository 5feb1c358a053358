"""The output keeper of a test's daemon."""

from __future__ import annotations

from pathlib import Path

from tests.support.daemon import DaemonProcess


def keeper_of(daemon: DaemonProcess) -> int:
    """Return the pid of the output keeper that a daemon started."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                log = (entry / "fd" / "2").readlink()
            except OSError:
                continue
            if b"launcher.output" in command and log == daemon.state / "output.log":
                return int(entry.name)
    raise AssertionError("no output keeper runs")
