"""By which label a dockerd says that it has the stub NVIDIA hook."""

from __future__ import annotations

HOOK_LABEL = "launcher.fakegpu=hook"
"""For ``dockerd --label``: containers can be given the devices of a fake machine."""
