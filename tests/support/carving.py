"""A whole layout change in one process: the core decides, the real nvidia-ml-py carries it out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest

from launcher.core.dispatch import decide
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action, CarveStep, LookAtLayout
from launcher.core.model.job import Owner
from launcher.core.model.layout_change import Busy, LayoutOp, LayoutTarget, Want
from launcher.core.world.world import World
from launcher.daemon.loop.health import Health
from launcher.daemon.machine.layout_steps import LayoutRunner
from launcher.errors import GpuFault, GpuUnavailable
from launcher.fakegpu import Machine
from launcher.gpu import Carver, GpuReader, carve
from tests.support.machines import MakeMachine

ROOT = Owner(0, 0, "root")
NOW = ev.Now(1_800_000_000.0, 1000.0)


class Changer:
    """A world that sees one machine, and changes it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.reader = GpuReader()
        self.world = World("feed")
        self.runner = LayoutRunner(Carver(self.reader), Health(), self._look, list)
        self.told: list[str] = []
        self.look()

    def look(self, foreign: dict[str, str] | None = None) -> list[Action]:
        """Read the machine; ``foreign`` are the users of slices, by UUID, from now on."""
        self.foreign = tuple((foreign or {}).items())
        return self.tell(ev.InventoryRead(self.reader.inventory(), self.foreign))

    async def _look(self) -> ev.InventoryRead | ev.InventoryFailed:
        event: ev.InventoryRead | ev.InventoryFailed
        try:
            event = ev.InventoryRead(self.reader.inventory(), self.foreign)
        except (GpuUnavailable, GpuFault) as error:
            event = ev.InventoryFailed(error.message)
        self.tell(event)
        return event

    def tell(self, event: ev.Event) -> list[Action]:
        return decide(self.world, event, NOW)[1]

    def ask(self, *wishes: LayoutTarget, verb: str = "apply", busy: Busy = Busy.REFUSE) -> LayoutOp:
        """Make a change, from its asking to its end (or until it waits)."""
        event = ev.LayoutAsked(ROOT, verb, "asked", wishes, busy)
        op, actions = decide(self.world, event, NOW)
        self.carry_out(actions)
        found: LayoutOp = op
        return found

    def carry_out(self, actions: Sequence[Action]) -> None:
        """Do what is asked until nothing more is."""
        todo = list(actions)
        while todo:
            action = todo.pop(0)
            if isinstance(action, CarveStep):
                self.told.append(str(action.step))
                todo += self.tell(asyncio.run(self.runner.carve(action)))
            elif isinstance(action, LookAtLayout):
                todo += self.tell(asyncio.run(self.runner.look(action)))

    @property
    def gpu(self) -> str:
        return self.machine.gpu_uuids()[0]

    def wish(self, *wants: Want, **options: object) -> LayoutTarget:
        return LayoutTarget(self.gpu, wants, **options)  # type: ignore[arg-type]

    def standing(self) -> list[tuple[str, int, int]]:
        """(profile, start, how many MIG devices) of what stands on the machine."""
        return sorted((i.profile, i.start, len(i.uuids)) for i in self.machine.instances())

    def close(self) -> None:
        self.reader.close()


MakeChanger = Callable[[str], Changer]


@pytest.fixture
def changer(make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeChanger]:
    """Return a maker of changers, closed when the test is over; waits are short."""
    monkeypatch.setattr(carve, "IN_USE_SECONDS", 0.05)
    made: list[Changer] = []

    def make(spec: str) -> Changer:
        made.append(Changer(make_machine(spec)))
        return made[-1]

    yield make
    for one in made:
        one.close()
