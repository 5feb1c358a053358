"""The layout as the API shows it: instances, profiles, plans and changes."""

from __future__ import annotations

from dataclasses import replace

from launcher import wire
from launcher.core.messages.events import InventoryRead
from launcher.core.mig.planner import GpuPlan
from launcher.core.model.compute_instances import StandingInstance
from launcher.core.model.gpu import Instance, Inventory, Placement, Slice
from launcher.core.model.layout_change import (
    LayoutOp,
    LayoutTarget,
    OpResult,
    OpState,
    Step,
    StepKind,
)
from launcher.core.model.packing import Place
from launcher.core.world.inventory import take_inventory
from launcher.core.world.world import World
from launcher.daemon.api.views.layout_views import change_view, gpu_views, plan_view, profile_views
from tests.support.boards import gpu
from tests.support.builders import ROOT

CARD = gpu("A30")
IDS = {p.name: p.profile_id for p in CARD.profiles}


def world(*, hidden: bool = False) -> World:
    """A divided 2g.12gb, which the launcher made, and a 1g.6gb without a device."""
    large, small = Placement(2, 2), Placement(0, 1)
    slices = tuple(
        Slice(f"MIG-{ci}", "GPU-a", 0, "1c.2g.12gb", IDS["2g.12gb"], 11968, 2, ci, large)
        for ci in range(2)
    )
    instances = (
        Instance("GPU-a", 2, "2g.12gb", IDS["2g.12gb"], large),
        Instance("GPU-a", 1, "1g.6gb", IDS["1g.6gb"], small),
    )
    off = replace(gpu("A30", "GPU-b", mig=False), index=1, profiles=())
    made = World("feed")
    inventory = Inventory("580", (off, CARD), slices, instances)
    if hidden:
        inventory = replace(inventory, hidden=("GPU-a",))
    take_inventory(made, InventoryRead(inventory))
    made.set_made("GPU-a", 2, Place(IDS["2g.12gb"], 2))
    return made


def test_gpus_and_their_instances_are_in_their_order_with_a_line_for_each_device() -> None:
    first, second = gpu_views(world())
    assert (first.index, first.units, second.index, second.units) == (0, 4, 1, None)
    shown = [(i.start, i.gi, i.ci, i.profile, i.made_by) for i in first.instances]
    assert shown == [
        (0, 1, None, "1g.6gb", "other"),
        (2, 2, 0, "1c.2g.12gb", "launcher"),
        (2, 2, 1, "1c.2g.12gb", "launcher"),
    ]


def test_an_instance_without_a_device_is_bare_and_has_the_memory_of_its_profile() -> None:
    bare, device, _ = gpu_views(world())[0].instances
    assert (bare.state, bare.uuid, bare.memory_mib) == ("bare", None, 5952)
    assert (device.uuid, device.memory_shared) == ("MIG-0", True)


def test_a_gpu_that_hides_its_instances_says_so() -> None:
    assert [one.instances_known for one in gpu_views(world(hidden=True))] == [False, True]


def test_a_profile_is_shown_with_where_it_fits_and_how_many_more() -> None:
    views = {view.name: view for view in profile_views(CARD, {IDS["1g.6gb"]: 3})}
    one = views["1g.6gb"]
    assert (one.placements, one.size, one.most, one.fit) == ([0, 1, 2, 3], 1, 4, 3)
    assert views["4g.24gb"].fit is None
    blind = replace(CARD, profiles=(replace(CARD.profiles[0], placements=None),))
    (unknown,) = profile_views(blind, {})
    assert (unknown.placements, unknown.size) == (None, None)


def test_a_plan_is_shown_by_devices_with_who_is_in_the_way() -> None:
    small = StandingInstance(Place(IDS["1g.6gb"], 0), 1, "job 7")
    plan = GpuPlan("GPU-a", (), (small,), (Place(IDS["2g.12gb"], 0, (1, 1)),))
    wishes = [LayoutTarget("GPU-a", mode=True), LayoutTarget("GPU-b", mode=True)]
    view = plan_view(world(), wishes, [plan])
    assert view.destroy == [wire.PlaceView(gpu="GPU-a", profile="1g.6gb", start=0, count=1)]
    assert view.create == [wire.PlaceView(gpu="GPU-a", profile="1c.2g.12gb", start=0, count=2)]
    assert view.modes == {"GPU-b": True}, "that of the other is on already"
    assert (view.touches_busy, view.busy) == (True, ["job 7"])


def test_a_change_is_shown_with_what_is_done_and_what_is_left() -> None:
    on = Step(StepKind.MODE_ON, "GPU-a")
    made = Step(StepKind.CREATE, "GPU-a", 0, "1g.6gb", IDS["1g.6gb"], Placement(0, 1))
    op = LayoutOp(3, "create", "1g.6gb", ROOT, 1_800_000_000.0, steps=[made], done=[on])
    view = change_view(op, "a node is missing")
    assert (view.done, view.todo) == ([str(on)], [str(made)])
    assert (view.result, view.ended_at, view.warning) == (None, None, "a node is missing")
    op.state, op.result, op.ended_at, op.steps = OpState.DONE, OpResult.APPLIED, 1.8e9 + 5, []
    view = change_view(op)
    assert (view.state, view.result, view.todo) == ("done", "applied", [])
    assert view.ended_at is not None
