"""The label of a dockerd whose NVIDIA hook provides the devices of a stand-in for NVML."""

from __future__ import annotations

HOOK_LABEL = "launcher.fakegpu=hook"
"""For ``dockerd --label``: containers can receive the devices of a fake machine."""
