"""A daemon started for the report: what its verbs say of the GPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from launcher.core.model.gpu import Inventory
from tests.hardware.check_gpu.report import Report
from tests.support.wait import wait_until

SECONDS = 60
LAUNCH = str(Path(sys.executable).with_name("launch"))


@contextmanager
def started(place: Path) -> Iterator[dict[str, str]]:
    """Run a daemon without Docker in a directory of its own; yields its clients' environment."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LAUNCHER_", "DOCKER_"))}
    env |= {"LAUNCHER_SOCKET": str(place / "l.sock"), "DOCKER_HOST": f"unix://{place}/none.sock"}
    words = [LAUNCH, "serve", "--state-dir", str(place / "state")]
    with (place / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(words, env=env, stdout=log, stderr=log)
    try:
        wait_until((place / "l.sock").exists, SECONDS, "the daemon listens")
        yield env
    finally:
        daemon.terminate()
        daemon.wait(SECONDS)


def launch(env: dict[str, str], *words: str) -> tuple[int, Any]:
    """Run a verb with ``-o json``; returns its exit status and the document."""
    done = subprocess.run(
        [LAUNCH, *words, "-o", "json"],
        env=env, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout else None


def check(report: Report, place: Path, inventory: Inventory) -> None:
    """Compare ``slices``, ``layout show`` and ``layout profiles`` with what NVML reports."""
    with started(place) as env:
        wait_until(lambda: launch(env, "status")[1]["gpus"] > 0, SECONDS, "the GPUs are read")
        _, slices = launch(env, "slices")
        expected = sorted(s.uuid for s in inventory.slices)
        report.compare("launch slices", sorted(s["uuid"] for s in slices), expected)
        _, gpus = launch(env, "layout", "show")
        shown = [(g["index"], g["name"], g["mig_current"]) for g in gpus]
        report.compare("launch layout show", shown,
                       [(g.index, g.name, g.mig_current) for g in inventory.gpus])  # fmt: skip
        _, profiles = launch(env, "layout", "profiles")
        offered = sorted((p["gpu_index"], p["profile_id"]) for p in profiles or [])
        capable = [g for g in inventory.gpus if g.mig_capable]
        known = sorted((g.index, p.profile_id) for g in capable for p in g.profiles)
        report.compare("launch layout profiles", offered, known)
        _, checks = launch(env, "doctor")
        for row in checks or []:
            if row["check"] not in ("docker", "clock", "disk"):
                report.note(f"doctor {row['check']}", row["state"], row["message"])
