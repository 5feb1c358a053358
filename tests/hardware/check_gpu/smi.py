"""What nvidia-smi prints, as values."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

SECONDS = 20
FIELDS = ("index", "uuid", "name", "memory.total", "driver_version", "mig.mode.current",
          "mig.mode.pending", "pci.device_id", "persistence_mode")  # fmt: skip

_LGIP = re.compile(
    r"^\|\s+(?P<gpu>\d+)\s+MIG (?P<name>\S+)\s+(?P<id>\d+)\s+(?P<free>\d+)/(?P<most>\d+)\s+"
    r"(?P<gib>[\d.]+)\s+\S+\s+(?P<sm>\d+)\s+(?P<dec>\d+)\s+(?P<enc>\d+)", re.MULTILINE,
)  # fmt: skip
_LGIPP = re.compile(
    r"^GPU\s+(?P<gpu>\d+)\s+Profile ID\s+(?P<id>\d+)\s+Placements?\s*:\s*\{(?P<starts>[\d,\s]*)\}"
    r":(?P<size>\d+)", re.MULTILINE,
)  # fmt: skip
_MIG = re.compile(
    r"^\s+MIG (?P<name>\S+)\s+Device\s+\d+:\s+\(UUID: (?P<uuid>MIG-[^)]+)\)", re.MULTILINE
)


@dataclass(frozen=True)
class SmiProfile:
    """A row of ``nvidia-smi mig -lgip``; ``gib`` has two decimals."""

    name: str
    most: int
    gib: float
    sm: int


def ask(*words: str) -> str | None:
    """Return what nvidia-smi prints, None if it is missing, fails or hangs."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        done = subprocess.run(
            [tool, *words], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def gpus(text: str) -> list[dict[str, str]]:
    """Return the rows of ``--query-gpu=... --format=csv,noheader,nounits``."""
    rows = [line.split(", ") for line in text.splitlines() if line.strip()]
    return [dict(zip(FIELDS, map(str.strip, row), strict=False)) for row in rows]


def profiles(text: str) -> dict[tuple[int, int], SmiProfile]:
    """Return the profiles of ``mig -lgip`` by GPU index and profile id."""
    return {
        (int(m["gpu"]), int(m["id"])): SmiProfile(
            m["name"], int(m["most"]), float(m["gib"]), int(m["sm"])
        )
        for m in _LGIP.finditer(text)
    }


def placements(text: str) -> dict[tuple[int, int], tuple[tuple[int, ...], int]]:
    """Return starts and size of ``mig -lgipp`` by GPU index and profile id."""
    return {
        (int(m["gpu"]), int(m["id"])): (
            tuple(int(start) for start in m["starts"].split(",") if start.strip()), int(m["size"]),
        )
        for m in _LGIPP.finditer(text)
    }  # fmt: skip


def mig_devices(text: str) -> dict[str, str]:
    """Return the MIG devices of ``nvidia-smi -L``: profile by UUID."""
    return {m["uuid"]: m["name"] for m in _MIG.finditer(text)}
