"""Each step of a layout change ends as an event, whatever NVML does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from launcher.core.messages.actions import CarveStep, LookAtLayout
from launcher.core.messages.events import (
    InventoryFailed,
    InventoryRead,
    LayoutSeen,
    LayoutStepDone,
    LayoutStepFailed,
)
from launcher.core.model.gpu import Inventory, Placement
from launcher.core.model.layout_change import Step, StepKind
from launcher.daemon.loop.health import Health
from launcher.daemon.machine.layout_steps import LayoutRunner, in_one_line
from launcher.errors import GpuFault, LauncherError
from launcher.gpu import ResetNeeded

GPU, AT = "GPU-a", Placement(2, 1)
SEEN = InventoryRead(Inventory("580", (), ()), ())


class Machine:
    """Carves as NVML would, or fails; notes what was asked of it."""

    def __init__(self, fails: Exception | None = None, shows: Any = SEEN) -> None:
        self.fails, self.shows = fails, shows
        self.asked: list[Any] = []
        self.moves = 0
        self.health = Health()

    def _ask(self, *what: Any) -> None:
        self.asked.append(what)
        if self.fails is not None:
            raise self.fails

    def set_mode(self, gpu: str, *, on: bool) -> None:
        self._ask("mode", gpu, on)

    def create(self, *what: Any) -> tuple[int, bool]:
        self._ask("create", *what)
        return 7, True

    def complete(self, *what: Any) -> int:
        self._ask("complete", *what)
        return 7

    def destroy(self, *what: Any) -> None:
        self._ask("destroy", *what)

    async def look(self) -> Any:
        return self.shows

    def refresh(self) -> list[str]:
        self.asked.append("refresh")
        return ["no node for MIG-1"]

    def moved(self) -> None:
        self.moves += 1

    def runner(self, unfit: list[str] | None = None) -> LayoutRunner:
        return LayoutRunner(
            self,  # type: ignore[arg-type]
            self.health,
            self.look,
            self.refresh,
            lambda inventory: unfit or [],
            self.moved,
        )


def step(kind: StepKind, **fields: Any) -> Step:
    return Step(kind, GPU, 0, "1g.6gb", 14, AT, **fields)


def carved(machine: Machine, one: Step) -> LayoutStepDone | LayoutStepFailed:
    return asyncio.run(machine.runner().carve(CarveStep(3, one)))


@pytest.mark.parametrize(
    ("one", "asked", "gi", "made"),
    [
        (step(StepKind.MODE_ON), ("mode", GPU, True), None, True),
        (step(StepKind.MODE_OFF), ("mode", GPU, False), None, True),
        (step(StepKind.CREATE, cut=(1,)), ("create", GPU, 14, AT, (1,)), 7, True),
        (step(StepKind.COMPLETE, gi=5, cut=(1, 1)), ("complete", GPU, 5, (1, 1)), 7, False),
        (step(StepKind.DESTROY, gi=5), ("destroy", GPU, 5, 14, AT), None, True),
    ],
)
def test_a_step_is_one_call_and_its_end_is_told(
    one: Step, asked: tuple[Any, ...], gi: int | None, made: bool
) -> None:
    machine = Machine()
    assert carved(machine, one) == LayoutStepDone(3, one, gi, made)
    assert (machine.asked, machine.moves) == ([asked], 1)


def test_a_mode_that_needs_a_reset_is_done_and_told_as_pending() -> None:
    one = step(StepKind.MODE_ON)
    done = carved(Machine(ResetNeeded("it takes effect later", fix="Reboot.")), one)
    assert done == LayoutStepDone(3, one, pending="it takes effect later. Reboot.")


@pytest.mark.parametrize(
    ("fails", "words"),
    [(GpuFault("no room.", fix="Try later."), "no room. Try later."), (KeyError("x"), "a bug")],
)
def test_a_step_that_fails_is_told_with_the_reason(fails: Exception, words: str) -> None:
    one = step(StepKind.CREATE)
    failed = carved(Machine(fails), one)
    assert isinstance(failed, LayoutStepFailed)
    assert words in failed.message


def test_a_step_that_lacks_something_fails_and_asks_for_nothing() -> None:
    machine = Machine()
    assert isinstance(carved(machine, step(StepKind.DESTROY)), LayoutStepFailed)
    assert machine.asked == []


def test_a_look_before_the_first_step_leaves_the_nodes_alone() -> None:
    machine = Machine(shows=InventoryRead(Inventory("580", (), ()), (), blind="Docker is away"))
    seen = asyncio.run(machine.runner().look(LookAtLayout(3, changed=False)))
    assert seen == LayoutSeen(3, blind="Docker is away")
    assert machine.asked == []


def test_a_look_after_a_change_reports_what_does_not_match_it() -> None:
    machine = Machine()
    runner = machine.runner(unfit=["the CDI spec is old"])
    assert asyncio.run(runner.look(LookAtLayout(3, changed=True))) == LayoutSeen(3)
    assert machine.asked == ["refresh"]
    told = machine.health.unrefreshed(3)
    assert told is not None
    assert "no node for MIG-1" in told
    assert "the CDI spec is old" in told


def test_a_look_that_fails_is_told_with_the_reason() -> None:
    machine = Machine(shows=InventoryFailed("NVML is away"))
    seen = asyncio.run(machine.runner().look(LookAtLayout(3, changed=False)))
    assert seen == LayoutSeen(3, "NVML is away")


def test_an_error_and_its_fix_are_one_line() -> None:
    assert in_one_line(LauncherError("it failed.", fix="Do this.")) == "it failed. Do this."
    assert in_one_line(LauncherError("it failed")) == "it failed"
