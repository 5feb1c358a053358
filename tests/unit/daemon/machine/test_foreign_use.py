"""Who else uses a slice, by whatever name he has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.core.model.gpu import Inventory, Slice
from launcher.daemon.machine.foreign_allowlist import ForeignAllowlist
from launcher.daemon.machine.foreign_use import ForeignUse
from launcher.errors import EngineUnavailable
from launcher.gpu import GpuProcess
from tests.support.builders import mig, whole

UUID = "MIG-11111111-2222-5333-8444-555555555555"


@dataclass
class Machine:
    """Containers by id with what inspect says of them, and processes by slice."""

    given: dict[str, dict[str, Any]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    image: str = "torch"
    on: dict[str, list[int]] = field(default_factory=dict)
    away: bool = False
    inspected: int = 0
    now: Inventory | None = None
    at: str = "2026-01-01T00:00:00.000000Z"

    def running(self) -> list[dict[str, Any]]:
        if self.away:
            raise EngineUnavailable("Docker is away")
        return [
            {"Id": i, "Names": [f"/{i}"], "Labels": self.labels, "Image": self.image}
            for i in self.given
        ]

    def inspect(self, name: str) -> Any:
        self.inspected += 1
        return SimpleNamespace(id=name, pid=1, started_at=self.at, info=self.given[name])

    def inventory(self) -> Inventory:
        assert self.now is not None
        return self.now

    def processes(self, uuid: str, patience: float | None = None) -> list[GpuProcess]:
        return [GpuProcess(pid, None, "compute") for pid in self.on.get(uuid, [])]

    def device_node(self, gpu_uuid: str) -> Path | None:
        number = {"GPU-a": 0, "GPU-b": 7, "GPU-c": 8}.get(gpu_uuid)
        return None if number is None else Path(f"/dev/nvidia{number}")


def look(machine: Machine, *allowed: str) -> ForeignUse:
    return ForeignUse(machine, machine, "feed", ForeignAllowlist(allowed))  # type: ignore[arg-type]


def inventory(*slices: Slice, indexes: tuple[tuple[str, int], ...] | None = None) -> Inventory:
    told = indexes or tuple((s.uuid, s.gi or 0) for s in slices)
    return Inventory("580.95.05", (), slices, indexes=told)


def requested(*ids: str, driver: str = "") -> dict[str, Any]:
    request = {"Driver": driver, "DeviceIDs": list(ids)}
    return {"HostConfig": {"Runtime": "runc", "DeviceRequests": [request]}, "Config": {}}


def on_device(path: str) -> dict[str, Any]:
    return {"HostConfig": {"Runtime": "runc", "Devices": [{"PathOnHost": path}]}, "Config": {}}


def visible(runtime: str, value: str) -> dict[str, Any]:
    env = [f"NVIDIA_VISIBLE_DEVICES={value}"]
    return {"HostConfig": {"Runtime": runtime}, "Config": {"Env": env}}


A = [mig(0), mig(1)]
B = [mig(0, gpu="GPU-b"), whole("GPU-c", 2)]
OLD = f"MIG-GPU-a/{A[1].gi}/0"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (requested("MIG-a-0"), {"MIG-a-0"}),
        (requested("MIG-a-0", "MIG-a-1"), {"MIG-a-0", "MIG-a-1"}),
        (requested("0"), {"MIG-a-0", "MIG-a-1", "MIG-b-0"}),
        (requested("GPU-a"), {"MIG-a-0", "MIG-a-1"}),
        (requested("2"), {"GPU-c"}),
        (requested("all"), {"MIG-a-0", "MIG-a-1", "MIG-b-0", "GPU-c"}),
        (requested(OLD), {"MIG-a-1"}),
        (requested("nvidia.com/gpu=MIG-a-0", driver="cdi"), {"MIG-a-0"}),
        (requested("nvidia.com/gpu=gpu2", driver="cdi"), {"GPU-c"}),
        (requested("acme.com/nic=0", driver="cdi"), set()),
        (on_device("/dev/nvidia0"), {"MIG-a-0", "MIG-a-1"}),
        (on_device("/dev/nvidia7"), {"MIG-b-0"}),
        (on_device("nvidia.com/gpu=MIG-a-0"), {"MIG-a-0"}),
        (visible("nvidia", "all"), {"MIG-a-0", "MIG-a-1", "MIG-b-0", "GPU-c"}),
        (visible("runc", "all"), set()),
        (visible("nvidia", "void"), set()),
    ],
)
def test_a_container_has_the_slices_that_its_device_names_mean(
    given: dict[str, Any], used: set[str]
) -> None:
    slices = [*A, mig(0, gpu="GPU-b"), whole("GPU-c", 2)]
    told = (("MIG-a-0", 0), ("MIG-a-1", 1))
    found, blind = look(Machine({"web": given})).find(inventory(*slices, indexes=told), frozenset())
    assert (set(found), blind) == (used, None)
    assert set(found.values()) <= {"is used by the container web"}


def test_the_daemons_own_container_is_no_use_and_one_beside_it_is() -> None:
    machine = Machine({"mine": requested("all"), "minet": requested("MIG-a-1")})
    foreign = ForeignUse(machine, machine, "feed", own="mine")  # type: ignore[arg-type]
    told = (("MIG-a-0", 0), ("MIG-a-1", 1))
    assert set(foreign.find(inventory(*A, indexes=told), frozenset())[0]) == {"MIG-a-1"}


def test_where_containers_are_given_no_devices_none_has_a_slice() -> None:
    machine = Machine({"web": requested("all")}, on={"MIG-a-1": [7]})
    foreign = ForeignUse(machine, machine, "feed", devices=lambda: False)  # type: ignore[arg-type]
    used, _ = foreign.find(inventory(*A), frozenset())
    assert used == {"MIG-a-1": "is used by process 7"}


def test_the_beginning_of_a_uuid_means_it() -> None:
    slice_ = Slice(UUID, "GPU-a", 0, "1g.6gb", 14, 5952, 3, 0)
    machine = Machine({"web": requested(UUID[:12])})
    assert set(look(machine).by_containers([slice_])) == {UUID}
    machine = Machine({"web": requested("MIG-2222222")})
    assert look(machine).by_containers([slice_]) == {}


def find(foreign: ForeignUse, machine: Machine, seen: Inventory) -> dict[str, str]:
    machine.now = seen
    return foreign.find(seen, frozenset())[0]


NUMBERED = [
    requested("0:1"),
    requested("nvidia.com/gpu=0:1", driver="cdi"),
    requested("nvidia.com/gpu=mig0:1", driver="cdi"),
    visible("nvidia", "0:1"),
]
OTHER = replace(mig(0, gpu="GPU-b"), gpu_index=1)
BEFORE = inventory(*A, OTHER, indexes=(("MIG-a-0", 0), ("MIG-a-1", 1)))
AFTER = inventory(*A, OTHER, indexes=(("MIG-a-1", 0), ("MIG-a-0", 1)))
PERHAPS = (
    "may be used by the container web, which has MIG device 0:1: the slice behind it at its "
    "start is unknown"
)


def test_a_gpu_whose_device_node_is_not_known_may_be_the_one_that_a_container_has() -> None:
    machine = Machine({"web": on_device("/dev/nvidia5")})
    assert set(find(look(machine), machine, inventory(whole("GPU-x"), A[0]))) == {"GPU-x"}


@pytest.mark.parametrize("given", NUMBERED)
def test_a_number_means_what_it_meant_between_the_looks_when_its_container_came(
    given: dict[str, Any],
) -> None:
    machine = Machine()
    foreign = look(machine)
    find(foreign, machine, BEFORE)
    machine.given = {"web": given}
    for seen in (BEFORE, AFTER):
        assert find(foreign, machine, seen) == {"MIG-a-1": "is used by the container web"}
    kept = foreign.numbers.text()
    again = look(machine)
    again.numbers.recall(kept)
    for seen in (AFTER, AFTER):
        assert set(find(again, machine, seen)) == {"MIG-a-1"}, "the next daemon knows it too"
    machine.given = {}
    find(again, machine, AFTER)
    assert again.numbers.text() == "[]", "nothing is kept of a container that has ended"


def come_at_the_first_look(foreign: ForeignUse, machine: Machine) -> Inventory:
    machine.given = {"web": requested("0:1")}
    return BEFORE


def come_while_the_layout_changed(foreign: ForeignUse, machine: Machine) -> Inventory:
    find(foreign, machine, AFTER)
    machine.given = {"web": requested("0:1")}
    return BEFORE


def come_while_it_was_changed_and_changed_back(foreign: ForeignUse, machine: Machine) -> Inventory:
    find(foreign, machine, BEFORE)
    foreign.numbers.moved()
    machine.given = {"web": requested("0:1")}
    return BEFORE


def come_while_docker_was_away(foreign: ForeignUse, machine: Machine) -> Inventory:
    find(foreign, machine, BEFORE)
    machine.away = True
    find(foreign, machine, BEFORE)
    machine.away, machine.given = False, {"web": requested("0:1")}
    return BEFORE


def started_again_after_a_change(foreign: ForeignUse, machine: Machine) -> Inventory:
    find(foreign, machine, BEFORE)
    machine.given = {"web": requested("0:1")}
    find(foreign, machine, BEFORE)
    machine.at = "2026-01-01T00:00:09.000000Z"
    return AFTER


def given_by_a_name_of_a_spec_of_its_own(foreign: ForeignUse, machine: Machine) -> Inventory:
    machine.given = {"web": requested("nvidia.com/gpu=blue", driver="cdi")}
    return inventory(*A, indexes=())


@pytest.mark.parametrize(
    "how",
    [
        come_at_the_first_look,
        come_while_the_layout_changed,
        come_while_it_was_changed_and_changed_back,
        come_while_docker_was_away,
        started_again_after_a_change,
        given_by_a_name_of_a_spec_of_its_own,
    ],
)
def test_where_it_is_not_known_what_a_number_meant_each_slice_of_its_gpu_may_be_used(
    how: Callable[[ForeignUse, Machine], Inventory],
) -> None:
    machine = Machine()
    foreign = look(machine)
    seen = how(foreign, machine)
    for _ in range(2):
        used = find(foreign, machine, seen)
        assert set(used) == {"MIG-a-0", "MIG-a-1"}
        assert {why.replace("has blue", "has MIG device 0:1") for why in used.values()} == {PERHAPS}


def test_a_number_on_a_gpu_that_is_not_there_now_may_mean_a_slice_of_any() -> None:
    machine = Machine({"web": requested("7:0")})
    assert set(find(look(machine), machine, BEFORE)) == {"MIG-a-0", "MIG-a-1", "MIG-b-0"}


def test_where_indexes_have_gaps_a_number_means_both_that_tools_may_mean() -> None:
    machine = Machine()
    foreign = look(machine)
    seen = inventory(*A, mig(2), indexes=(("MIG-a-0", 0), ("MIG-a-1", 2), ("MIG-a-2", 3)))
    find(foreign, machine, seen)
    machine.given = {"web": requested("0:2")}
    assert set(find(foreign, machine, seen)) == {"MIG-a-1", "MIG-a-2"}


class Opens:
    """Which nodes containers have."""

    def __init__(self, *nodes: str) -> None:
        self.nodes = frozenset(nodes)

    def of(self, container: Any) -> frozenset[str]:
        return self.nodes


@pytest.mark.parametrize(
    ("given", "nodes", "used"),
    [
        ("0:0", ["/dev/nvidia0/{1}/0"], {"MIG-a-1"}),
        ("0:0", [], {"MIG-a-0", "MIG-a-1"}),
        ("0:0,0:1", ["/dev/nvidia0/{1}/0"], {"MIG-a-0", "MIG-a-1"}),
        ("0:0", ["/dev/nvidia7/{0}/0"], {"MIG-a-0", "MIG-a-1", "MIG-b-0"}),
        ("MIG-gone", ["/dev/nvidia0/{1}/0"], {"MIG-a-1"}),
        ("blue", ["/dev/nvidia7/{0}/0"], {"MIG-b-0"}),
    ],
)
def test_a_container_has_the_slices_whose_device_nodes_it_has(
    given: str, nodes: list[str], used: set[str]
) -> None:
    gis = [s.gi for s in A]
    machine = Machine({"web": requested(*given.split(","))})
    opens = Opens(*(node.format(*gis) for node in nodes))
    foreign = ForeignUse(machine, machine, "feed", nodes=opens)  # type: ignore[arg-type]
    assert set(find(foreign, machine, BEFORE)) == used


def test_containers_of_this_store_are_no_foreign_use_and_of_another_they_are() -> None:
    machine = Machine({"job": requested("MIG-a-0")}, labels={"launcher.store": "feed"})
    assert look(machine).by_containers(A) == {}
    machine.labels = {"launcher.store": "beef"}
    assert set(look(machine).by_containers(A)) == {"MIG-a-0"}


def test_a_process_outside_of_any_container_is_use_unless_the_slice_is_ours() -> None:
    machine = Machine(on={"MIG-a-0": [7], "MIG-a-1": [8]})
    found, _ = look(machine).find(inventory(*A), frozenset({"MIG-a-1"}))
    assert found == {"MIG-a-0": "is used by process 7"}


def test_what_is_allowed_is_no_use() -> None:
    machine = Machine({"web": requested("all")}, image="nvcr.io/nvidia/k8s/dcgm-exporter:3")
    assert look(machine, "dcgm-exporter").by_containers(A) == {}
    assert set(look(machine, "web").by_containers(A)) == set()
    assert set(look(machine, "other").by_containers(A)) == {"MIG-a-0", "MIG-a-1"}


def test_while_docker_is_away_processes_tell_and_that_is_said() -> None:
    machine = Machine(on={"MIG-a-0": [7]}, away=True)
    found, blind = look(machine).find(inventory(*A), frozenset())
    assert (set(found), blind) == ({"MIG-a-0"}, "Docker is away")


def test_a_container_that_a_start_saw_first_is_known_by_its_number_from_the_next_look_on() -> None:
    machine = Machine()
    foreign = look(machine)
    find(foreign, machine, BEFORE)
    machine.given = {"web": requested("0:1")}
    assert foreign.by_containers([mig(0)]) == {"MIG-a-0": PERHAPS}
    assert set(find(foreign, machine, BEFORE)) == {"MIG-a-1"}
    assert foreign.by_containers([mig(0)]) == {}


def test_a_container_that_cannot_be_looked_at_is_not_taken_for_one_without_a_gpu() -> None:
    machine = Machine(given={"notebook": {}})
    looking = look(machine)

    def lost(name: str) -> Any:
        raise EngineUnavailable("gone")

    machine.inspect = lost  # type: ignore[method-assign]
    with pytest.raises(EngineUnavailable):
        looking.by_containers([mig(0)])
    assert looking.find(inventory(mig(0)), frozenset())[1] == "gone"
