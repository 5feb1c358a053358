"""The layout that is saved, and the request that restores it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher import wire
from launcher.core.messages.events import InventoryRead, LayoutNoted
from launcher.core.model.gpu import Gpu, Instance, Inventory, Placement, Slice
from launcher.core.model.layout_change import LayoutOp, LayoutTarget, OpState, Want
from launcher.core.world.inventory import take_inventory
from launcher.core.world.world import World
from launcher.daemon.api.handlers.saved_layouts import (
    list_saved,
    present,
    restoring,
    save,
    wanted,
)
from launcher.daemon.loop.committer import Committer
from launcher.daemon.users.identity import Caller
from launcher.errors import StaleRequest, UserError
from launcher.store import Store
from tests.support.boards import gpu
from tests.support.builders import ROOT

CARD = gpu("A30")
OTHER = replace(gpu("A30", "GPU-b", mig=False), index=1)
ONE = wire.LayoutSpec(profile="1g.6gb", start=0)


def world(*gpus: Gpu) -> World:
    """A world with one instance of 1g.6gb and one that is divided in two, on the first GPU."""
    kinds = {p.name: p.profile_id for p in CARD.profiles}
    small, large = Placement(0, 1), Placement(2, 2)
    instances = (
        Instance("GPU-a", 1, "1g.6gb", kinds["1g.6gb"], small),
        Instance("GPU-a", 2, "2g.12gb", kinds["2g.12gb"], large),
    )
    slices = (
        Slice("MIG-1", "GPU-a", 0, "1g.6gb", kinds["1g.6gb"], 5952, 1, 0, small),
        *(
            Slice(f"MIG-2{ci}", "GPU-a", 0, "1c.2g.12gb", kinds["2g.12gb"], 11968, 2, ci, large)
            for ci in range(2)
        ),
    )
    made = World("feed")
    take_inventory(made, InventoryRead(Inventory("580", gpus, slices, instances)))
    return made


def saved(gpu: str = "GPU-a", *, mode: bool = True) -> wire.SavedGpu:
    return wire.SavedGpu(gpu=gpu, index=0, mode=mode, places=[ONE] if mode else [])


def test_the_present_layout_has_each_place_and_how_it_is_divided() -> None:
    first, second = present(world(CARD, OTHER))
    assert (first.gpu, first.mode, second.gpu, second.mode) == ("GPU-a", True, "GPU-b", False)
    assert first.places == [ONE, wire.LayoutSpec(profile="1c.2g.12gb", count=2, start=2)]
    assert second.places == []


def test_a_gpu_that_cannot_do_mig_has_no_layout() -> None:
    assert present(world(replace(CARD, mig_current=None))) == []


def test_a_mode_that_comes_with_a_reboot_is_saved_as_it_will_be() -> None:
    going = replace(CARD, mig_pending=False)
    (one,) = wanted(world(going))
    assert (one.mode, one.places) == (False, [])
    assert wanted(world(CARD)) == present(world(CARD))


def test_a_change_that_waits_for_a_reboot_is_saved_as_what_it_will_make() -> None:
    here = world(CARD, OTHER)
    wish = LayoutTarget("GPU-b", (Want("2g.12gb", 2),), mode=True)
    op = LayoutOp(1, "create", "2g.12gb:2", ROOT, 0.0, (wish,), state=OpState.PENDING)
    op.pending, here.layouts[1] = ("GPU-b",), op
    _, second = wanted(here)
    assert (second.mode, second.places) == (True, [wire.LayoutSpec(profile="2g.12gb", count=2)])


def test_a_saved_layout_is_requested_of_the_gpus_that_are_here() -> None:
    request = restoring(world(CARD), [saved(), saved("GPU-x")])
    (entry,) = request.entries
    assert (entry.gpus, entry.specs, entry.mode) == (["GPU-a"], [ONE], True)
    assert "not of GPU-x: missing" in request.request


def test_a_gpu_whose_mode_was_off_is_switched_off_only_if_it_is_on() -> None:
    here = world(CARD, OTHER)
    request = restoring(here, [saved(mode=False), saved("GPU-b", mode=False)])
    assert [(e.gpus, e.specs, e.mode) for e in request.entries] == [(["GPU-a"], None, False)]


def test_a_layout_of_other_gpus_alone_cannot_be_restored() -> None:
    with pytest.raises(UserError, match="none of these GPUs is present"):
        restoring(world(CARD), [saved("GPU-x")])


def test_the_request_has_the_name_and_what_becomes_of_users() -> None:
    asked = wire.RestoreRequest(name="night", busy="wait")
    request = restoring(world(CARD), [saved()], asked)
    assert (request.verb, request.request, request.busy) == (
        "restore", "the saved layout night", "wait",
    )  # fmt: skip


def test_a_mode_that_is_to_come_on_is_taken_back_where_the_layout_has_it_off() -> None:
    coming = replace(OTHER, mig_pending=True)
    (entry,) = restoring(world(coming), [saved("GPU-b", mode=False)]).entries
    assert entry.mode is False


def test_nothing_else_stays_only_if_that_is_requested() -> None:
    for exact in (False, True):
        asked = wire.RestoreRequest(exact=exact)
        (entry,) = restoring(world(CARD), [saved()], asked).entries
        assert entry.exact is exact


def test_a_layout_that_is_being_changed_is_not_saved() -> None:
    here = world(CARD)
    here.reconciling = None
    op = LayoutOp(3, "apply", "2g.12gb", ROOT, 0.0, (LayoutTarget("GPU-a"),), state=OpState.RUNNING)
    here.layouts[3] = op
    context: Any = SimpleNamespace(world=here)
    with pytest.raises(StaleRequest, match=r"layout change 3 \(apply\) is under way"):
        asyncio.run(save(context, Caller(ROOT, admin=True), wire.SaveRequest()))


def test_layouts_that_are_saved_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state")
    here = world(CARD)
    here.reconciling = None
    committer = Committer(store)

    async def request(event: LayoutNoted) -> None:
        """Record nothing."""

    loop = SimpleNamespace(request=request)
    context: Any = SimpleNamespace(world=here, committer=committer, event_loop=loop)
    caller = Caller(ROOT, admin=True)

    async def save_all() -> list[str | None]:
        names = [f"name-{number}" for number in range(20)]
        await asyncio.gather(*(save(context, caller, wire.SaveRequest(name=n)) for n in names))
        return [layout.name for layout in await list_saved(context, caller)]

    try:
        assert len(asyncio.run(save_all())) == 20
    finally:
        committer.close()
