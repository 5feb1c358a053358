"""A user's own daemon leaves the system's mounts and their helper alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest

from launcher.config.settings import load
from launcher.daemon.mounts.mounts import sweep


class Swept:
    """Counts the sweeps of a helper for mounts."""

    def __init__(self) -> None:
        self.times = 0

    def sweep(self, live: object, prefix: str) -> list[str]:
        self.times += 1
        return []


@pytest.mark.parametrize(("system", "sweeps"), [(True, 1), (False, 0)])
def test_only_a_system_daemon_sweeps_the_systems_mounts(
    tmp_path: Path, system: bool, sweeps: int
) -> None:
    config = load({"config": None}, {"LAUNCHER_CONFIG": ""})
    config = dataclasses.replace(config, system=system, pins_directory=str(tmp_path))
    pins, places = Swept(), Swept()
    sweep(config, *cast(Any, (pins, places)), cast(Any, None), "feed", tuple)
    assert (pins.times, places.times) == (sweeps, 1)
