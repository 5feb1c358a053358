"""Whether Docker is asked for devices: always of a real GPU, of the fake one where it has them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from launcher.daemon.loop.health import Health
from launcher.daemon.machine.devices import Devices
from launcher.errors import EngineUnavailable
from launcher.gpu.stand_in import HOOK_LABEL


@dataclass
class Machine:
    """A GPU and a Docker in one."""

    stand_in: bool
    labels: tuple[str, ...] = ()
    away: bool = False
    asked: int = 0

    def is_stand_in(self) -> bool:
        return self.stand_in

    def has_label(self, label: str) -> bool:
        self.asked += 1
        if self.away:
            raise EngineUnavailable("Docker is away")
        return label in self.labels

    def engine_version(self) -> str:
        return "29.2.0"


def devices(machine: Machine) -> Devices:
    return Devices(machine, machine, Health())  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [(), (HOOK_LABEL,), ("launcher.fakegpu=none",)])
def test_of_a_real_gpu_they_are_asked_for_whatever_docker_says(labels: tuple[str, ...]) -> None:
    machine = Machine(stand_in=False, labels=labels)
    assert devices(machine).driver() == "nvidia.runtime-hook"
    assert machine.asked == 0


@pytest.mark.parametrize(
    ("labels", "driver"),
    [((), None), (("gpu=no",), None), ((HOOK_LABEL,), "nvidia.runtime-hook")],
)
def test_of_the_fake_gpu_they_are_asked_for_where_dockerd_has_its_hook(
    labels: tuple[str, ...], driver: str | None
) -> None:
    machine = Machine(stand_in=True, labels=labels)
    found = devices(machine)
    assert (found.driver(), found.driver(), found.are_given()) == (
        driver,
        driver,
        driver is not None,
    )
    assert machine.asked == 1


def test_a_docker_that_is_away_is_asked_again() -> None:
    machine = Machine(stand_in=True, labels=(HOOK_LABEL,), away=True)
    found = devices(machine)
    with pytest.raises(EngineUnavailable):
        found.are_given()
    machine.away = False
    assert found.are_given()
