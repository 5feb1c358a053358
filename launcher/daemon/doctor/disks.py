"""Free space on the disks of the state directory and of Docker."""

from __future__ import annotations

import shutil
from pathlib import Path

from launcher.daemon.doctor.finding import Finding, ok, problem, warning

MIB = 2**20
STATE_LOW_MIB, STATE_OUT_MIB = 2048, 64
DOCKER_LOW_MIB, DOCKER_OUT_MIB = 10240, 512


def state(directory: Path) -> Finding:
    """Check the space of the state directory."""
    fix = "Free some space: a full disk stops the queue."
    return _room("disk", directory, STATE_LOW_MIB, STATE_OUT_MIB, fix)


def docker(data_root: str | None) -> Finding:
    """Check the space for images and containers."""
    if not data_root:
        return ok("docker disk", "unknown: Docker does not report its data root")
    fix = "Free some space: `docker system prune -a` removes what no container uses."
    return _room("docker disk", Path(data_root), DOCKER_LOW_MIB, DOCKER_OUT_MIB, fix)


def _room(check: str, directory: Path, low: int, out: int, fix: str) -> Finding:
    try:
        free = shutil.disk_usage(directory).free // MIB
    except OSError as error:
        return ok(check, f"unknown: cannot inspect {directory}: {error.strerror}")
    text = f"{free} MiB free for {directory}"
    if free < out:
        return problem(check, text, fix)
    return warning(check, text, fix) if free < low else ok(check, text)
