"""Foreign use of slices: by other containers, another launcher's, or processes without either.

A container of a live attempt of ours never counts; one of an attempt that is over, or with another
``launcher.store`` label, does (I13). What launcher.toml allows does not count either, nor does the
container that the daemon itself runs in, which sees every GPU.
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
    """The devices that one start of a container was given.

    ``ids`` are certain names of slices or GPUs, or device nodes. ``unsure`` are names that may mean
    other slices today, by the index of the GPU they are on, None if even that is unknown.
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
        """``live`` reads which attempts hold slices, and returns what knows their labels.

        ``devices``: whether containers are given devices at all. ``own``: the id of the daemon's
        own container, if it runs in one. ``nodes``: how device nodes in containers are read.
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

        While Docker is away (the second value says why) only processes are known; nothing is
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
        """Return the devices of each running container, and learn what new ones' numbers mean."""
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

        ``starts`` is filled with the starts of containers that were given numbers, and with these.
        """
        if not self._devices_are_given():
            return {}
        # Read first: an attempt that ends between the two reads was still there then.
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
                elif (asked := self._may_mean(has.unsure, s)) is not None:
                    used.setdefault(s.uuid, _perhaps(name, asked))
        return used

    def _devices(self, container_id: str, starts: dict[str, tuple[Number, ...]]) -> _Has:
        """Return what a container was given.

        That never changes, but the meaning of numbers does, at each start. A container with
        numbers is therefore inspected every time. Raises as Docker does: a container that cannot
        be inspected may have anything.
        """
        known = self._named.get(container_id)
        if known is not None:
            return known
        result = self._containers.inspect(container_id)
        if result is None:
            return _Has()
        asked = gpu_ids(result.info) - {""}
        doubtful = {name for name in asked if not _IS_PLAIN.match(name)}
        start = f"{result.id} {result.started_at}"
        opened = self._can_open(result, start) if asked else frozenset()
        if not doubtful:
            has = self._named[container_id] = _Has(frozenset(asked) | opened)
            return has
        starts[start] = tuple(n for name in doubtful if (n := number_of(name)) is not None)
        return self._meant(start, asked - doubtful, doubtful, opened)

    def _meant(
        self, start: str, sure: set[str], doubtful: set[str], opened: frozenset[str]
    ) -> _Has:
        """Return what names mean: the devices the container can open, or the stored meanings."""
        ids, unsure = set(sure) | opened, dict[str, int | None]()
        numbers = {name: number_of(name) for name in doubtful}
        for name, number in numbers.items():
            if number is None:
                if not opened:
                    unsure[name] = None
                continue
            node = self._node(self._gpus.get(number[0], ""))
            on_gpu = {n for n in numbers.values() if n is not None and n[0] == number[0]}
            if sum(each.startswith(f"{node}/") for each in opened) >= len(on_gpu):
                continue
            remembered = self.numbers.meant(start, number)
            if remembered is None:
                unsure[name] = number[0]
            else:
                ids |= remembered
        return _Has(frozenset(ids), unsure)

    def _can_open(self, container: Container, start: str) -> frozenset[str]:
        """Return which MIG devices a container has the nodes of, as they were when first seen.

        A privileged one has all nodes of the machine, which says nothing about its use of them.
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


def _perhaps(container: str, asked: str) -> str:
    device = f"MIG device {asked}" if number_of(asked) else asked
    return (
        f"may be used by the container {container}, which was given {device}: which slice that was "
        "when it was started is not known"
    )


def _is_short(name: str) -> bool:
    """Whether a name may be a prefix of a UUID, which NVIDIA's runtime accepts for the whole."""
    return len(name) > 8 and name.startswith(("GPU-", "MIG-"))
