"""Foreign use of slices: by other containers, another launcher's, or bare processes.

A container of a live attempt of this daemon never counts. One of an ended attempt, or with another
``launcher.store`` label, does (I13). Programs allowed in launcher.toml do not count, nor does the
daemon's own container, which sees every GPU.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from launcher.core.model.gpu import Inventory, Slice
from launcher.core.model.ids import LABEL_STORE
from launcher.daemon.machine.device_numbers import DeviceNumbers, Number, identity, number_of
from launcher.daemon.machine.foreign_allowlist import NOBODY, ForeignAllowlist
from launcher.daemon.machine.mig_device_nodes import MigDeviceNodes
from launcher.engine.containers import Container, Containers, gpu_ids
from launcher.errors import EngineError, EngineUnavailable, GpuFault, GpuUnavailable
from launcher.gpu import GpuReader


@dataclass(frozen=True, slots=True)
class _Has:
    """The devices of one start of a container.

    ``ids`` are certain names of slices or GPUs, or device nodes. ``unsure`` are names that may mean
    other slices today, by the index of their GPU, None if that is unknown too.
    """

    ids: frozenset[str] = frozenset()
    unsure: Mapping[str, int | None] = field(default_factory=dict)


class ForeignUse:
    """Finds use of slices that the launcher did not start."""

    def __init__(
        self,
        containers: Containers,
        gpu: GpuReader,
        store: str,
        allowed: ForeignAllowlist = NOBODY,
        live: Callable[[], Callable[[Mapping[str, str]], bool]] = lambda: lambda labels: True,
        devices: Callable[[], bool] = lambda: True,
        own: str | None = None,
        nodes: MigDeviceNodes | None = None,
    ) -> None:
        """``live`` returns a predicate for the labels of attempts that hold slices. ``devices``:
        whether containers receive devices at all. ``own``: the id of the daemon's own container,
        if any. ``nodes`` reads the device nodes in containers.
        """
        self._devices_are_given, self._own = devices, own
        self._live = live
        self._containers, self._gpu, self._store = containers, gpu, store
        self._allowed = allowed
        self._in_container = nodes
        self.numbers = DeviceNumbers()
        self._named: dict[str, _Has] = {}
        self._opened: dict[str, frozenset[str]] = {}
        self._gpus: dict[int, str] = {}
        self._nodes: dict[str, str] = {}

    def find(self, inventory: Inventory, ours: frozenset[str]) -> tuple[dict[str, str], str | None]:
        """Return slice UUID -> its foreign user. ``ours`` are slices with a live lease: skipped.

        While Docker is down (the second value says why) only processes are known; no job is
        started then.
        """
        used: dict[str, str] = {}
        blind = None
        self._gpus = {s.gpu_index: s.gpu_uuid for s in inventory.slices}
        try:
            used = self._learning(inventory)
        except (EngineUnavailable, EngineError) as error:
            self.numbers.forget_last()
            blind = error.message
        for s in inventory.slices:
            if s.uuid in ours or s.uuid in used:
                continue
            try:
                result = self._allowed.others(self._gpu.processes(s.uuid))
            except (GpuUnavailable, GpuFault):
                continue
            if result:
                pids = ", ".join(str(p.pid) for p in result)
                used[s.uuid] = f"is used by process {pids}"
        return used, blind

    def _learning(self, inventory: Inventory) -> dict[str, str]:
        """Return the devices of each running container, and learn the meaning of new numbers."""
        starts: dict[str, tuple[Number, ...]] = {}
        used = self.by_containers(inventory.slices, starts)
        try:
            learnt = self.numbers.look(inventory, starts, self._gpu.inventory)
        except (GpuUnavailable, GpuFault):
            return used
        return self.by_containers(inventory.slices) if learnt else used

    def by_containers(
        self, slices: Iterable[Slice], starts: dict[str, tuple[Number, ...]] | None = None
    ) -> dict[str, str]:
        """Return slice UUID -> the foreign container that has it; raises as Docker does.

        ``starts`` receives the starts of containers that have numbers, with the numbers.
        """
        if not self._devices_are_given():
            return {}
        # Read first, because an attempt may end between the two reads.
        is_live = self._live()
        running = {c["Id"]: c for c in self._containers.running()}
        self._allowed.note(running.values())
        self._named = {i: has for i, has in self._named.items() if i in running}
        self._opened = {s: ids for s, ids in self._opened.items() if s.split(" ")[0] in running}
        used: dict[str, str] = {}
        slices = list(slices)
        for container_id, listed in running.items():
            labels = listed.get("Labels") or {}
            if labels.get(LABEL_STORE) == self._store and is_live(labels):
                continue
            if container_id == self._own or self._allowed.container(listed):
                continue
            has = self._devices(container_id, {} if starts is None else starts)
            name = (listed.get("Names") or [container_id[:12]])[0].lstrip("/")
            for s in slices:
                if has.ids and self._has(has.ids, s):
                    used[s.uuid] = f"is used by the container {name}"
                elif (may_be := self._may_mean(has.unsure, s)) is not None:
                    used.setdefault(s.uuid, _perhaps(name, may_be))
        return used

    def _devices(self, container_id: str, starts: dict[str, tuple[Number, ...]]) -> _Has:
        """Return the devices of a container.

        They never change, but at each start the meaning of numbers does. A container with them is
        therefore inspected every time. Raises as Docker does: a container that cannot be inspected
        may have anything.
        """
        cached = self._named.get(container_id)
        if cached is not None:
            return cached
        result = self._containers.inspect(container_id)
        if result is None:
            return _Has()
        names = gpu_ids(result.info) - {""}
        doubtful = {name for name in names if not _IS_PLAIN.match(name)}
        start = f"{result.id} {result.started_at}"
        opened = self._can_open(result, start) if names else frozenset()
        if not doubtful:
            has = self._named[container_id] = _Has(frozenset(names) | opened)
            return has
        starts[start] = tuple(n for name in doubtful if (n := number_of(name)) is not None)
        return self._meant(start, names - doubtful, doubtful, opened)

    def _meant(
        self, start: str, sure: set[str], doubtful: set[str], opened: frozenset[str]
    ) -> _Has:
        """Return the meaning of names: devices the container can open, or stored meanings."""
        ids, unsure = set(sure) | opened, dict[str, int | None]()
        numbers = {name: number_of(name) for name in doubtful}
        for name, number in numbers.items():
            if number is None:
                if not opened:
                    unsure[name] = None
                continue
            node = self._node(self._gpus.get(number[0], ""))
            on_gpu = {n for n in numbers.values() if n is not None and n[0] == number[0]}
            if sum(path.startswith(f"{node}/") for path in opened) >= len(on_gpu):
                continue
            remembered = self.numbers.meant(start, number)
            if remembered is None:
                unsure[name] = number[0]
            else:
                ids |= remembered
        return _Has(frozenset(ids), unsure)

    def _can_open(self, container: Container, start: str) -> frozenset[str]:
        """Return the MIG devices whose nodes a container has, as they were when first seen.

        A privileged container has all nodes of the machine, which does not show use.
        """
        if self._in_container is None or (container.info.get("HostConfig") or {}).get("Privileged"):
            return frozenset()
        if start not in self._opened:
            self._opened[start] = self._in_container.of(container)
        return self._opened[start]

    def _may_mean(self, unsure: Mapping[str, int | None], s: Slice) -> str | None:
        """Return the first of the names that may mean a slice."""
        may = (
            n for n, gpu in sorted(unsure.items()) if gpu == s.gpu_index or gpu not in self._gpus
        )
        return next(may, None)

    def _has(self, ids: frozenset[str], s: Slice) -> bool:
        """Whether one of the names means this slice, or the GPU that it is on."""
        index = str(s.gpu_index)
        if ids & ({"all", s.gpu_uuid, index, f"gpu{index}"} | identity(s)):
            return True
        if any(s.uuid.startswith(i) or s.gpu_uuid.startswith(i) for i in ids if _is_short(i)):
            return True
        nodes = {i for i in ids if i.startswith("/dev/")}
        if not nodes:
            return False
        node = self._node(s.gpu_uuid)
        return node is None or bool(nodes & {node, f"{node}/{s.gi}/{s.ci}"})

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


_IS_PLAIN = re.compile(r"all$|(?:gpu)?\d{1,4}$|GPU-|MIG-|/dev/")
"""A name whose meaning never changes, or a whole GPU's index, which does not move while
the driver is loaded."""


def _perhaps(container: str, name: str) -> str:
    device = f"MIG device {name}" if number_of(name) else name
    return (
        f"may be used by the container {container}, which has {device}: the slice behind it at "
        "its start is unknown"
    )


def _is_short(name: str) -> bool:
    """Whether a name may be a prefix of a UUID, which NVIDIA's runtime accepts for the whole."""
    return len(name) > 8 and name.startswith(("GPU-", "MIG-"))
