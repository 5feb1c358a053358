"""What the unit launcher-network found, for the daemon, which may not ask the firewall itself."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from pathlib import Path

from launcher.network.firewall import FirewallState

STATE_FILE = Path("/run/launcher/network.json")
OLD_SECONDS = 600.0
"""A state that is older says nothing: the unit runs every minute."""
MOST_BYTES = 64 * 1024


def write(state: FirewallState, path: Path = STATE_FILE) -> None:
    """Replace the file in one step; everybody may read it. Raises ``OSError``."""
    text = json.dumps({"at": time.time(), **dataclasses.asdict(state)})
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        new.chmod(0o644)
        new.replace(path)
    finally:
        with contextlib.suppress(OSError):
            new.unlink()


def read(path: Path = STATE_FILE) -> FirewallState | None:
    """Return the state; None if there is none, or an old one."""
    try:
        with path.open("rb") as file:
            values = json.loads(file.read(MOST_BYTES))
        age = time.time() - float(values.pop("at"))
        state = FirewallState(**values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return state if abs(age) <= OLD_SECONDS else None
