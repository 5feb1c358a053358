"""The slices of the machine are recorded whenever they are others, and end with a reboot."""

from __future__ import annotations

from launcher.core.messages import events as ev
from launcher.core.messages.events import Now
from launcher.core.model.gpu import Inventory
from launcher.core.recovery.reconcile import resume
from launcher.core.world.world import World
from tests.support.boards import gpu
from tests.support.builders import Machine, mig

FOUR = [mig(number) for number in range(4)]
MIB = FOUR[0].share_mib


def shown(*numbers: int) -> ev.InventoryRead:
    slices = tuple(FOUR[number] for number in numbers)
    return ev.InventoryRead(Inventory("580", (gpu("A30", "GPU-a"),), slices, ()), ())


def test_a_change_of_the_slices_is_recorded_once_with_its_time() -> None:
    machine = Machine(slices=[])
    records = []
    for numbers in ((0, 1), (0, 1), (0, 1, 2), ()):
        machine.world.changes.capacity = None
        machine.tell(shown(*numbers))
        records.append(machine.world.changes.capacity)
    now = machine.time.wall
    assert records == [
        (now, {"1g.6gb": (2, 2 * MIB)}), None, (now, {"1g.6gb": (3, 3 * MIB)}), (now, {}),
    ]  # fmt: skip


def test_a_reboot_ends_the_capacity_at_the_last_record_before_it() -> None:
    for rebooted, expected in ((False, None), (True, (50.0, {}))):
        world = World("feed")
        world.capacity.slices, world.capacity.seen_at = {"1g.6gb": (1, MIB)}, 50.0
        resume(world, Now(100.0, 5.0), rebooted=rebooted)
        assert world.changes.capacity == expected
