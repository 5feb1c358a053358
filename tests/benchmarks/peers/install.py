"""The queues that come as wheels, in an environment of their own, with pinned versions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CONSTRAINTS = ROOT / ".ci" / "constraints-peers.txt"
WHEELS = ("hyperqueue", "runqd")
PIP_SECONDS = 300.0


def install(place: Path) -> Path:
    """Return the folder of programs; what cannot be installed is named."""
    programs = place / "bin"
    if not (programs / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check", "--only-binary", ":all:", "-c", str(CONSTRAINTS)]
    for wheel in WHEELS:
        try:
            subprocess.run([*pip, wheel], check=True, timeout=PIP_SECONDS)
        except subprocess.SubprocessError:
            print(f"pip cannot install {wheel}; it is left out", file=sys.stderr)
    return programs
