"""The processor time that processes take."""

from __future__ import annotations

import os
import time
from pathlib import Path

SECONDS = 20.0


def share_of_core(*pids: int, seconds: float = SECONDS) -> list[float]:
    """Return the processor time that these processes take in a while, as shares of one core."""
    before = [processor_seconds(pid) for pid in pids]
    began = time.perf_counter()
    time.sleep(seconds)
    passed = time.perf_counter() - began
    return [(processor_seconds(pid) - b) / passed for pid, b in zip(pids, before, strict=True)]


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has taken so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
