"""Takes a system service away again: what ``launch install-service`` wrote, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from launcher.service.units import NAMES

MARK = "Description=launcher: "
"""A line of every unit of the launcher."""
SECONDS = 120.0
BOOTED = Path("/run/systemd/system")
"""There where systemd is the system manager; sd_booted(3)."""


def stop_units(directory: Path) -> None:
    """Stop and disable the units in a directory of the running system manager.

    Containers of running jobs go on.
    """
    if BOOTED.is_dir() and (systemctl := shutil.which("systemctl")):
        present = [name for name in NAMES if _is_ours(directory / name)]
        subprocess.run(
            [systemctl, "disable", "--now", *present], check=False, timeout=SECONDS,
            capture_output=True,
        )  # fmt: skip


def remove_units(directory: Path) -> Iterator[Path]:
    """Remove the launcher's units from a directory; yield their places."""
    for name in NAMES:
        if _is_ours(place := directory / name):
            place.unlink()
            yield place


def remove_if_unchanged(place: Path, text: str) -> bool:
    """Remove a file that still has this text; return whether it was there."""
    try:
        if place.read_text("utf-8") != text:
            return False
    except (FileNotFoundError, UnicodeError):
        return False
    place.unlink()
    return True


def reload() -> None:
    """Let the running system manager forget removed units."""
    if BOOTED.is_dir() and (systemctl := shutil.which("systemctl")):
        subprocess.run([systemctl, "daemon-reload"], check=False, timeout=SECONDS)


def _is_ours(place: Path) -> bool:
    try:
        return MARK in place.read_text("utf-8")
    except (FileNotFoundError, UnicodeError):
        return False
