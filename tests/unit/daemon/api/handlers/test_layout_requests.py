"""A layout request with users' names of GPUs, profiles and slices, as the core's request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher import wire
from launcher.core.messages.events import InventoryRead
from launcher.core.model.gpu import Gpu, Instance, Inventory, Placement, Slice
from launcher.core.model.layout_change import LayoutTarget, Want
from launcher.core.model.packing import Place
from launcher.core.world.inventory import take_inventory
from launcher.core.world.world import World
from launcher.daemon.api.handlers.layout_requests import also_gone, select, target_layouts
from launcher.errors import ImpossibleLayout, UserError
from tests.support.builders import a30

FIRST = replace(a30("GPU-a"), pci_device_id=0x20B710DE)
SECOND = replace(a30("GPU-b", mig_mode=False), index=1, pci_device_id=0x20B710DE)
OLD = Gpu("GPU-c", 2, "Tesla T4", 16384, None, None)


def world(*gpus: Gpu, parts: int = 1) -> World:
    """A world in which a GPU instance with so many devices stands on the first GPU."""
    placed = Placement(2, 1)
    slices = tuple(
        Slice(f"MIG-{ci}", gpus[0].uuid, 0, "1g.6gb", 14, 5952, 5, ci, placed)
        for ci in range(parts)
    )
    instances = (Instance(gpus[0].uuid, 5, "1g.6gb", 14, placed),)
    made = World("feed")
    take_inventory(made, InventoryRead(Inventory("580", gpus, slices, instances), ()))
    return made


def asked(*entries: wire.LayoutEntry, verb: str = "create") -> wire.LayoutRequest:
    return wire.LayoutRequest(verb=verb, request="as asked", entries=list(entries))


def chosen(here: World, clears: bool = False, **fields: object) -> list[str]:
    entry = wire.LayoutEntry(**fields)  # type: ignore[arg-type]
    return [gpu.uuid for gpu in select(here, entry, clears=clears)]


@pytest.mark.parametrize("name", ["GPU-b", "1"])
def test_a_gpu_is_named_by_index_or_uuid(name: str) -> None:
    assert chosen(world(FIRST, SECOND), gpus=[name]) == ["GPU-b"]


def test_an_empty_list_names_all_that_support_mig_and_models_keep_some() -> None:
    here = world(FIRST, replace(SECOND, pci_device_id=1), OLD)
    assert chosen(here, gpus=[]) == ["GPU-a", "GPU-b"]
    assert chosen(here, gpus=[], models=["0x20B710DE"]) == ["GPU-a"]


def test_without_a_name_the_one_gpu_that_can_be_meant_is() -> None:
    assert chosen(world(FIRST, OLD)) == ["GPU-a"]
    assert chosen(world(FIRST, SECOND)) == ["GPU-a"], "MIG mode of the other is off"
    assert chosen(world(SECOND, OLD), mode=True) == ["GPU-b"]
    assert chosen(world(SECOND, OLD), clears=True) == ["GPU-b"]


@pytest.mark.parametrize(
    ("gpus", "mode", "words"),
    [
        ((FIRST, replace(SECOND, mig_current=True)), None, "2 GPUs have MIG mode on"),
        ((FIRST, SECOND), True, "2 GPUs support MIG"),
        ((SECOND,), None, "no GPU has MIG mode on"),
        ((OLD,), None, "supports MIG"),
    ],
)
def test_where_it_is_not_clear_which_is_meant_none_is_taken(
    gpus: tuple[Gpu, ...], mode: bool | None, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        chosen(world(*gpus), mode=mode)


@pytest.mark.parametrize("fields", [{"gpus": ["7"]}, {"gpus": [], "models": ["T4"]}])
def test_an_unknown_gpu_or_model_is_refused(fields: dict[str, list[str]]) -> None:
    with pytest.raises(UserError):
        chosen(world(FIRST), **fields)


def test_specs_become_what_is_wanted_of_each_gpu() -> None:
    specs = [wire.LayoutSpec(profile="1g.6gb", count=2), wire.LayoutSpec(profile="14", start=3)]
    entry = wire.LayoutEntry(gpus=["0"], specs=specs, exact=True)
    wants = (Want("1g.6gb", 2), Want("14", 1, 3))
    assert target_layouts(world(FIRST), asked(entry)) == (LayoutTarget("GPU-a", wants, exact=True),)


def test_a_gpu_is_asked_for_once() -> None:
    entries = [wire.LayoutEntry(gpus=[name], specs=[]) for name in ("0", "GPU-a")]
    with pytest.raises(UserError, match="more than one entry"):
        target_layouts(world(FIRST), asked(*entries))


@pytest.mark.parametrize(
    ("profile", "count", "start", "fits"),
    [
        ("1g.6gb", 1, 0, True),
        ("1g.6gb", 2, 0, False),
        ("1C.2g.12gb", 2, 0, True),
        ("1g.6gb", 0, None, False),
    ],
)
def test_only_parts_of_one_instance_share_a_place(
    profile: str, count: int, start: int | None, fits: bool
) -> None:
    entry = wire.LayoutEntry(
        gpus=["0"], specs=[wire.LayoutSpec(profile=profile, count=count, start=start)]
    )
    if fits:
        assert len(target_layouts(world(FIRST), asked(entry))) == 1
        return
    with pytest.raises(ImpossibleLayout, match="cannot share one place"):
        target_layouts(world(FIRST), asked(entry))


@pytest.mark.parametrize("name", ["MIG-0", "0/5", "GPU-a/5"])
def test_what_goes_is_named_by_its_uuid_or_place_and_remembered_with_what_stood_there(
    name: str,
) -> None:
    entry = wire.LayoutEntry(drop=[name])
    (wish,) = target_layouts(world(FIRST, SECOND), asked(entry))
    assert wish == LayoutTarget("GPU-a", None, drop=frozenset({(5, Place(14, 2))}))


@pytest.mark.parametrize("name", ["MIG-9", "0/6", "0/x", "7/5", "0/" + "5" * 20, "GPU-a"])
def test_what_does_not_stand_cannot_go(name: str) -> None:
    with pytest.raises(UserError, match="does not exist"):
        target_layouts(world(FIRST), asked(wire.LayoutEntry(drop=[name])))


def test_the_other_devices_of_an_instance_that_goes_are_told() -> None:
    request = asked(wire.LayoutEntry(drop=["MIG-0"]))
    assert also_gone(world(FIRST), request) == ""
    assert "MIG-1, MIG-2" in also_gone(world(FIRST, parts=3), request)
    both = asked(wire.LayoutEntry(drop=["MIG-0", "MIG-1"]))
    assert also_gone(world(FIRST, parts=2), both) == ""
