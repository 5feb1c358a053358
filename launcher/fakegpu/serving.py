"""``launch serve --fake-gpu``: a daemon on a fake machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from launcher.config.settings import Config
from launcher.fakegpu.machine import Machine

DIRECTORY = "fakegpu-2"
"""The state of a fake machine; that of 0.1.0 (``fakegpu``) has another layout."""


def with_fake_gpu(config: Config, spec: str) -> Config:
    """Load the fake library before NVML is used; the GPU locks are in the machine's directory."""
    place = Path(spec) if spec.startswith("/") else config.state_dir / DIRECTORY
    if config.lock_dir == place:
        return config
    machine = Machine.open(place) if spec.startswith("/") else Machine.create(place, spec)
    machine.load()
    return dataclasses.replace(config, lock_dir=place)
