"""One daemon per GPU on the machine (I13): a GPU is claimed before any of its slices is leased."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from launcher.core.model.gpu import Inventory
from launcher.errors import Unavailable
from launcher.gpu import GpuClaim, claim, claim_device


class GpuClaims:
    """Holds the claims of this daemon; retries those that others hold."""

    def __init__(
        self, directory: Path | None, store: str, node: Callable[[str], Path | None]
    ) -> None:
        self._directory, self._store, self._node = directory, store, node
        self._held: dict[str, GpuClaim] = {}

    def refused(self, inventory: Inventory) -> dict[str, str]:
        """Claim every GPU; returns GPU UUID -> reason, for those held by others."""
        why: dict[str, str] = {}
        for gpu in inventory.gpus:
            if gpu.uuid in self._held:
                continue
            try:
                self._held[gpu.uuid] = self._claim(gpu.uuid)
            except Unavailable as taken:
                why[gpu.uuid] = taken.message
        return why

    def _claim(self, gpu_uuid: str) -> GpuClaim:
        if self._directory is not None:
            return claim(gpu_uuid, self._directory, store=self._store)
        node = self._node(gpu_uuid)
        if node is None:
            raise Unavailable(f"cannot claim {gpu_uuid}: its device node is unknown")
        return claim_device(gpu_uuid, node)

    def release(self) -> None:
        """Release every GPU."""
        for held in self._held.values():
            held.release()
        self._held.clear()
