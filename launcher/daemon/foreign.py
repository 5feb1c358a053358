"""Who else uses a slice: other people's containers, another launcher's, processes without either.

A container of a live attempt of ours never counts; one of an attempt that is over, or with another
``launcher.store`` label, does (I13). What launcher.toml allows does not count either, nor does the
container that the daemon itself runs in, which sees every GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from launcher.core.gpu import Inventory, Slice
from launcher.core.ids import LABEL_STORE
from launcher.daemon.allowed import NOBODY, Allowed
from launcher.engine.containers import Containers, gpu_ids
from launcher.errors import EngineError, EngineUnavailable, GpuFault, GpuUnavailable
from launcher.gpu import GpuReader


class ForeignUse:
    """Looks for use of slices that the launcher did not start."""

    def __init__(
        self,
        containers: Containers,
        gpu: GpuReader,
        store: str,
        allowed: Allowed = NOBODY,
        live: Callable[[], Callable[[Mapping[str, str]], bool]] = lambda: lambda labels: True,
        devices: Callable[[], bool] = lambda: True,
        own: str | None = None,
    ) -> None:
        """``live`` looks which attempts hold slices, and returns what knows their labels.

        ``devices``: whether containers are given devices at all. ``own``: the id of the daemon's
        own container, if it runs in one.
        """
        self._devices_are_given, self._own = devices, own
        self._live = live
        self._containers, self._gpu, self._store = containers, gpu, store
        self._allowed = allowed
        self._ids: dict[str, set[str]] = {}
        self._all: tuple[Slice, ...] = ()
        self._indexes: dict[str, int] = {}
        self._nodes: dict[str, str] = {}

    def find(self, inventory: Inventory, ours: frozenset[str]) -> tuple[dict[str, str], str | None]:
        """Return slice UUID -> who uses it. ``ours`` are slices with a live lease: not looked at.

        While Docker is away (the second value says why) only processes tell; nothing is started
        then.
        """
        used: dict[str, str] = {}
        blind = None
        self._indexes, self._all = dict(inventory.indexes), inventory.slices
        try:
            used = self.by_containers(inventory.slices)
        except (EngineUnavailable, EngineError) as error:
            blind = error.message
        for s in inventory.slices:
            if s.uuid in ours or s.uuid in used:
                continue
            try:
                found = self._allowed.others(self._gpu.processes(s.uuid))
            except (GpuUnavailable, GpuFault):
                continue
            if found:
                pids = ", ".join(str(p.pid) for p in found)
                used[s.uuid] = f"is used by process {pids}"
        return used, blind

    def by_containers(self, slices: Iterable[Slice]) -> dict[str, str]:
        """Return slice UUID -> which running container of others has it; raises as Docker does."""
        if not self._devices_are_given():
            return {}
        # Looked at first: an attempt that ends between the two looks was still there then.
        is_live = self._live()
        running = {c["Id"]: c for c in self._containers.running()}
        self._allowed.note(running.values())
        self._ids = {i: ids for i, ids in self._ids.items() if i in running}
        used: dict[str, str] = {}
        slices = list(slices)
        for container_id, listed in running.items():
            labels = listed.get("Labels") or {}
            if labels.get(LABEL_STORE) == self._store and is_live(labels):
                continue
            if container_id == self._own or self._allowed.container(listed):
                continue
            ids = self._devices(container_id)
            name = (listed.get("Names") or [container_id[:12]])[0].lstrip("/")
            for s in slices:
                if ids and self._has(ids, s):
                    used[s.uuid] = f"is used by the container {name}"
        return used

    def _devices(self, container_id: str) -> set[str]:
        """Return the container's device ids; they never change, so each is inspected once.

        MIG indexes move with the layout: what they mean is looked up now, when it is first seen.
        Raises as Docker does: a container that cannot be looked at may have anything.
        """
        known = self._ids.get(container_id)
        if known is None:
            found = self._containers.inspect(container_id)
            asked = gpu_ids(found.info) if found else set()
            known = {name for each in asked for name in self._meant(each)}
            if self._all:  # before the first look nobody knows what an index means
                self._ids[container_id] = known
        return known

    def _meant(self, name: str) -> Iterator[str]:
        gpu, is_mig, index = name.removeprefix("mig").partition(":")
        meant = [
            s.uuid
            for s in self._all
            if is_mig and (str(s.gpu_index), str(self._indexes.get(s.uuid))) == (gpu, index)
        ]
        yield from meant or [name]

    def _has(self, ids: set[str], s: Slice) -> bool:
        """Whether one of the names means this slice, or the GPU that it is on."""
        index = str(s.gpu_index)
        if ids & {"all", s.uuid, s.gpu_uuid, index, f"gpu{index}", _old_name(s)}:
            return True
        if any(s.uuid.startswith(i) or s.gpu_uuid.startswith(i) for i in ids if _is_short(i)):
            return True
        nodes = {i for i in ids if i.startswith("/dev/")}
        return bool(nodes) and self._node(s.gpu_uuid) in nodes

    def _node(self, gpu_uuid: str) -> str | None:
        if gpu_uuid not in self._nodes:
            try:
                node: Any = self._gpu.device_node(gpu_uuid)
            except (GpuUnavailable, GpuFault):
                return None
            if node is None:
                return None
            self._nodes[gpu_uuid] = str(node)
        return self._nodes[gpu_uuid]


def _old_name(s: Slice) -> str:
    """Return how drivers before R470 named a MIG device."""
    return f"MIG-{s.gpu_uuid}/{s.gi}/{s.ci}"


def _is_short(name: str) -> bool:
    """Whether a name may be the beginning of a UUID, which NVIDIA's runtime takes for the whole."""
    return len(name) > 8 and name.startswith(("GPU-", "MIG-"))
