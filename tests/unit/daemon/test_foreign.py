"""Who else uses a slice, by whatever name he has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.core.gpu import Inventory, Slice
from launcher.daemon.allowed import Allowed
from launcher.daemon.foreign import ForeignUse
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

    def running(self) -> list[dict[str, Any]]:
        if self.away:
            raise EngineUnavailable("Docker is away")
        return [
            {"Id": i, "Names": [f"/{i}"], "Labels": self.labels, "Image": self.image}
            for i in self.given
        ]

    def inspect(self, name: str) -> Any:
        self.inspected += 1
        return SimpleNamespace(info=self.given[name])

    def processes(self, uuid: str, patience: float | None = None) -> list[GpuProcess]:
        return [GpuProcess(pid, None, "compute") for pid in self.on.get(uuid, [])]

    def device_node(self, gpu_uuid: str) -> Path | None:
        return {"GPU-a": Path("/dev/nvidia0"), "GPU-b": Path("/dev/nvidia7")}.get(gpu_uuid)


def look(machine: Machine, *allowed: str) -> ForeignUse:
    return ForeignUse(machine, machine, "feed", Allowed(allowed))  # type: ignore[arg-type]


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
        (requested("0:1"), {"MIG-a-1"}),
        (requested("all"), {"MIG-a-0", "MIG-a-1", "MIG-b-0", "GPU-c"}),
        (requested(OLD), {"MIG-a-1"}),
        (requested("nvidia.com/gpu=MIG-a-0", driver="cdi"), {"MIG-a-0"}),
        (requested("nvidia.com/gpu=0:1", driver="cdi"), {"MIG-a-1"}),
        (requested("nvidia.com/gpu=mig0:1", driver="cdi"), {"MIG-a-1"}),
        (requested("nvidia.com/gpu=gpu2", driver="cdi"), {"GPU-c"}),
        (requested("acme.com/nic=0", driver="cdi"), set()),
        (on_device("/dev/nvidia0"), {"MIG-a-0", "MIG-a-1"}),
        (on_device("/dev/nvidia7"), {"MIG-b-0"}),
        (on_device("nvidia.com/gpu=MIG-a-0"), {"MIG-a-0"}),
        (visible("nvidia", "0:1"), {"MIG-a-1"}),
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
    machine = Machine({"mine": requested("all"), "minet": requested("0:1")})
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


def test_an_index_means_what_it_meant_when_the_container_was_first_seen() -> None:
    machine = Machine({"web": requested("0:0")})
    foreign = look(machine)
    before = inventory(*A, indexes=(("MIG-a-0", 0), ("MIG-a-1", 1)))
    after = inventory(*A, indexes=(("MIG-a-1", 0), ("MIG-a-0", 1)))
    for seen in (before, after):
        assert set(foreign.find(seen, frozenset())[0]) == {"MIG-a-0"}
    assert machine.inspected == 1, "each container is inspected once"


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


def test_a_container_that_a_start_saw_first_is_known_by_its_index_ever_after() -> None:
    """It was looked at for other slices then: what it has is of the whole machine."""
    machine = Machine(
        given={"notebook": {"HostConfig": {"DeviceRequests": [{"DeviceIDs": ["0:1"]}]}}}
    )
    looking = look(machine)
    machine.given, kept = {}, machine.given
    looking.find(inventory(mig(0), mig(1)), frozenset())
    machine.given = kept
    assert looking.by_containers([mig(0)]) == {}
    assert set(looking.by_containers([mig(1)])) == {"MIG-a-1"}
    assert set(looking.find(inventory(mig(0), mig(1)), frozenset())[0]) == {"MIG-a-1"}


def test_a_container_that_cannot_be_looked_at_is_not_taken_for_one_without_a_gpu() -> None:
    machine = Machine(given={"notebook": {}})
    looking = look(machine)

    def lost(name: str) -> Any:
        raise EngineUnavailable("gone")

    machine.inspect = lost  # type: ignore[method-assign]
    with pytest.raises(EngineUnavailable):
        looking.by_containers([mig(0)])
    assert looking.find(inventory(mig(0)), frozenset())[1] == "gone"
