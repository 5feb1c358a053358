"""Who else uses a slice: other people's containers, another launcher's, processes without either.

A container of ours never counts; one with another ``launcher.store`` label does (I13).
"""

from __future__ import annotations

from launcher.core.gpu import Inventory
from launcher.core.ids import LABEL_STORE
from launcher.engine.containers import Containers, gpu_ids
from launcher.errors import EngineError, EngineUnavailable, GpuFault, GpuUnavailable
from launcher.gpu import GpuReader


class ForeignUse:
    """Looks for use of slices that the launcher did not start."""

    def __init__(self, containers: Containers, gpu: GpuReader, store: str) -> None:
        self._containers, self._gpu, self._store = containers, gpu, store
        self._ids: dict[str, set[str]] = {}

    def find(self, inventory: Inventory, ours: frozenset[str]) -> tuple[dict[str, str], str | None]:
        """Return slice UUID -> who uses it. ``ours`` are slices with a live lease: not looked at.

        While Docker is away (the second value says why) only processes tell; nothing is started
        then.
        """
        used: dict[str, str] = {}
        blind = None
        try:
            used = self._by_containers(inventory)
        except (EngineUnavailable, EngineError) as error:
            blind = error.message
        for s in inventory.slices:
            if s.uuid in ours or s.uuid in used:
                continue
            try:
                found = self._gpu.processes(s.uuid)
            except (GpuUnavailable, GpuFault):
                continue
            if found:
                pids = ", ".join(str(p.pid) for p in found)
                used[s.uuid] = f"is used by process {pids}"
        return used, blind

    def _by_containers(self, inventory: Inventory) -> dict[str, str]:
        running = {c["Id"]: c for c in self._containers.running()}
        self._ids = {i: ids for i, ids in self._ids.items() if i in running}
        used: dict[str, str] = {}
        for container_id, listed in running.items():
            if (listed.get("Labels") or {}).get(LABEL_STORE) == self._store:
                continue
            name = (listed.get("Names") or [container_id[:12]])[0].lstrip("/")
            for s in inventory.slices:
                if _names(self._devices(container_id), s.uuid, s.gpu_uuid, s.gpu_index):
                    used[s.uuid] = f"is used by the container {name}"
        return used

    def _devices(self, container_id: str) -> set[str]:
        """Return the container's device ids; they never change, so each is inspected once."""
        if container_id not in self._ids:
            try:
                found = self._containers.inspect(container_id)
            except EngineError:
                return set()
            self._ids[container_id] = gpu_ids(found.info) if found else set()
        return self._ids[container_id]


def _names(ids: set[str], uuid: str, gpu_uuid: str, index: int) -> bool:
    return bool(ids & {"all", uuid, gpu_uuid, str(index)})
