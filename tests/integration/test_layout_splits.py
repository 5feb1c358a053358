"""GPU instances divided into compute instances: asked for, kept, filled up, saved and destroyed."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from launcher.core.mig.layout_requests import plans
from launcher.core.model.layout_change import LayoutTarget, OpResult, Want
from launcher.core.model.packing import Place
from launcher.daemon.api.handlers import saved_layouts
from launcher.daemon.api.handlers.layout_requests import also_gone, target_layouts
from launcher.daemon.api.views.layout_views import gpu_views, plan_view
from launcher.errors import ImpossibleLayout, StaleRequest
from launcher.jobfile.layouts import layout_file, mig_parted
from launcher.jobfile.layouts.layout_spec import format_specs, parse_spec
from launcher.wire import LayoutEntry, LayoutRequest
from tests.support.carving import Changer, MakeChanger, changer
from tests.support.machines import build_directory, make_machine

__all__ = ["build_directory", "changer", "make_machine"]


def devices(changer: Changer) -> list[str]:
    """The profiles of the MIG devices that NVML shows."""
    return sorted(s.profile for s in changer.reader.inventory().slices)


def saved(changer: Changer) -> str:
    """What stands, as SPECs."""
    return format_specs(saved_layouts.present(changer.world)[0].places)


def test_a_request_for_parts_is_one_gpu_instance_with_so_many_compute_instances(
    changer: MakeChanger,
) -> None:
    one = changer("A100-40GB:")
    op = one.ask(one.wish(Want("1c.3g.20gb", 3)))
    assert op.result is OpResult.APPLIED, op.message
    assert one.told == ["create 1c.3g.20gb:3@4 on GPU 0"]
    assert one.standing() == [("3g.20gb", 4, 3)]
    assert devices(one) == ["1c.3g.20gb"] * 3
    assert not one.ask(one.wish(Want("1c.3g.20gb", 3), exact=True)).done


def test_parts_fill_gpu_instances_one_after_the_other_the_largest_first(
    changer: MakeChanger,
) -> None:
    one = changer("A100-40GB:")
    op = one.ask(one.wish(Want("1c.3g.20gb", 2), Want("2c.3g.20gb", 2)))
    assert op.result is OpResult.APPLIED, op.message
    assert saved(one) in (
        "2c.3g.20gb@0 1c.3g.20gb@0 2c.3g.20gb@4 1c.3g.20gb@4",
        "2c.3g.20gb@4 1c.3g.20gb@4 2c.3g.20gb@0 1c.3g.20gb@0",
    )


def test_exact_for_the_whole_replaces_the_parts_that_stand(changer: MakeChanger) -> None:
    one = changer("A100-40GB:1c.3g.20gb*3/2g.10gb")
    op = one.ask(one.wish(Want("3g.20gb"), Want("2g.10gb"), exact=True))
    assert op.result is OpResult.APPLIED, op.message
    assert [told.partition("@")[0] for told in one.told] == [
        "destroy 1c.3g.20gb:3", "create 3g.20gb",
    ]  # fmt: skip
    assert devices(one) == ["2g.10gb", "3g.20gb"]


def test_exact_for_the_parts_replaces_the_whole_that_stands(changer: MakeChanger) -> None:
    one = changer("A100-40GB:3g.20gb")
    op = one.ask(one.wish(Want("1c.3g.20gb", 3), exact=True))
    assert op.result is OpResult.APPLIED, op.message
    assert devices(one) == ["1c.3g.20gb"] * 3


def test_without_exact_the_whole_is_made_beside_the_parts(changer: MakeChanger) -> None:
    one = changer("A100-40GB:1c.3g.20gb*3")
    op = one.ask(one.wish(Want("3g.20gb")))
    assert op.result is OpResult.APPLIED, op.message
    assert devices(one) == ["1c.3g.20gb"] * 3 + ["3g.20gb"]


@pytest.mark.parametrize(("bare", "cut"), [(True, ()), (False, (1,)), (False, (2,))])
def test_a_gpu_instance_with_room_is_filled_before_another_is_made(
    changer: MakeChanger, bare: bool, cut: tuple[int, ...]
) -> None:
    one = changer("A100-40GB:")
    one.machine.add_instance(one.gpu, "3g.20gb", 4, bare=bare, cut=cut)
    one.look()
    total = (3 - sum(cut)) + cut.count(1)
    op = one.ask(one.wish(Want("1c.3g.20gb", total)))
    assert op.result is OpResult.APPLIED, op.message
    assert [told.split()[0] for told in one.told] == ["complete"]
    assert one.standing() == [("3g.20gb", 4, 3 if 2 not in cut else 2)]


def test_a_larger_part_is_not_put_beside_smaller_ones_that_may_be_in_its_place(
    changer: MakeChanger,
) -> None:
    one = changer("A100-40GB:")
    one.machine.add_instance(one.gpu, "3g.20gb", 0, cut=(1,))
    one.look()
    op = one.ask(one.wish(Want("1c.3g.20gb"), Want("2c.3g.20gb")))
    assert op.result is OpResult.APPLIED, op.message
    assert one.told == ["create 2c.3g.20gb@4 on GPU 0"]
    op = one.ask(one.wish(Want("1c.3g.20gb"), Want("2c.3g.20gb", 1, 0), exact=True))
    assert op.result is OpResult.APPLIED, op.message
    assert saved(one) == "2c.3g.20gb@0 1c.3g.20gb@0"


def test_one_more_part_goes_where_there_is_room_and_then_into_a_new_instance(
    changer: MakeChanger,
) -> None:
    one = changer("A100-40GB:1c.3g.20gb*2")
    for expected in ([("3g.20gb", 0, 3)], [("3g.20gb", 0, 3), ("3g.20gb", 4, 1)]):
        op = one.ask(one.wish(Want("1c.3g.20gb"), add=True))
        assert op.result is OpResult.APPLIED, op.message
        assert one.standing() == expected


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ([Want("5c.7g.40gb")], "cannot be divided"),
        ([Want("4c.3g.20gb")], "cannot be divided"),
        ([Want("3c.4g.20gb")], "cannot be divided"),
        ([Want("1c.3g.20gb", 4, 0)], "does not fit in one 3g.20gb"),
        ([Want("1c.3g.20gb", 7)], "do not fit together"),
        ([Want("1c.3g.20gb", 1, 0), Want("3g.20gb", 1, 0)], "does not fit in one 3g.20gb"),
        ([Want("1c.9g.20gb")], "has no profile"),
    ],
)
def test_parts_that_cannot_be_are_refused_before_anything_is_changed(
    changer: MakeChanger, wanted: list[Want], why: str
) -> None:
    one = changer("A100-40GB:")
    with pytest.raises(ImpossibleLayout, match=why):
        one.ask(one.wish(*wanted))
    assert one.told == []


def test_what_spans_its_gpu_instance_is_the_whole_however_it_is_written(
    changer: MakeChanger,
) -> None:
    one = changer("A100-40GB:3g.20gb")
    assert not one.ask(one.wish(Want("3c.3g.20gb"), exact=True)).done


def test_a_saved_layout_with_parts_is_restored_place_by_place(changer: MakeChanger) -> None:
    one = changer("A100-40GB:2c.3g.20gb/1c.3g.20gb/2g.10gb")
    before = saved_layouts.present(one.world)
    assert format_specs(before[0].places) == saved(one)
    assert all(parse_spec(text) for text in saved(one).split())
    stands = one.standing()
    one.ask(LayoutTarget(one.gpu, (), exact=True))
    assert one.standing() == []
    one.ask(*target_layouts(one.world, saved_layouts.restoring(one.world, before)))
    assert one.standing() == stands
    assert saved_layouts.present(one.world) == before


def test_an_exported_layout_with_parts_is_read_back(changer: MakeChanger, tmp_path) -> None:
    one = changer("A100-40GB:1c.3g.20gb*3/2g.10gb")
    text = mig_parted.dump(saved_layouts.present(one.world))
    assert '"1c.3g.20gb": 3' in text
    (tmp_path / "config.yaml").write_text(text)
    entries = layout_file.load(str(tmp_path / "config.yaml"), None, exact=True)
    request = LayoutRequest(verb="apply", request="-f", entries=entries)
    assert not one.ask(*target_layouts(one.world, request)).done
    one.ask(LayoutTarget(one.gpu, (), exact=True))
    one.ask(*target_layouts(one.world, request))
    assert devices(one) == ["1c.3g.20gb"] * 3 + ["2g.10gb"]


def test_destroying_one_part_names_and_destroys_the_others(changer: MakeChanger) -> None:
    one = changer("A100-40GB:1c.3g.20gb*3/2g.10gb")
    first, *others = sorted(s.uuid for s in one.reader.inventory().slices if s.memory_shared)
    entry = LayoutEntry(drop=[first])
    request = LayoutRequest(verb="destroy", request=first, entries=[entry])
    also = also_gone(one.world, request)
    assert also == f" (and of the same GPU instance {', '.join(others)})"
    assert (
        also_gone(one.world, replace(request, entries=[replace(entry, drop=[first, *others])]))
        == ""
    )
    one.ask(*target_layouts(one.world, request))
    assert devices(one) == ["2g.10gb"]


def test_a_part_in_use_keeps_the_others_and_is_named(changer: MakeChanger) -> None:
    one = changer("A100-40GB:1c.3g.20gb*3")
    uuids = [s.uuid for s in one.reader.inventory().slices]
    one.look({uuids[1]: "has a process on it"})
    with pytest.raises(StaleRequest, match=f"{uuids[1]} has a process"):
        one.ask(*target_layouts(one.world, _destroy(uuids[0])))
    one.look()
    one.machine.add_process(uuids[2], 1)
    op = one.ask(*target_layouts(one.world, _destroy(uuids[0])))
    assert op.result is OpResult.FAILED
    assert "in use: process 1" in (op.message or "")
    assert "The layout now: 1c.3g.20gb:3@0" in (op.message or "")
    assert [s.uuid for s in one.reader.inventory().slices] == uuids


def _destroy(uuid: str) -> LayoutRequest:
    return LayoutRequest(verb="destroy", request=uuid, entries=[LayoutEntry(drop=[uuid])])


def test_a_division_that_fails_half_way_is_taken_back(changer: MakeChanger) -> None:
    one = changer("A100-40GB:")
    one.machine.fail("nvmlGpuInstanceCreateComputeInstance", "INSUFFICIENT_RESOURCES", at=3)
    op = one.ask(one.wish(Want("1c.3g.20gb", 3)))
    assert op.result is OpResult.FAILED
    assert one.standing() == []


def test_parts_are_shown_with_their_profile_and_their_shared_memory(changer: MakeChanger) -> None:
    one = changer("A100-40GB:2c.3g.20gb/1c.3g.20gb/2g.10gb")
    (gpu,) = gpu_views(one.world)
    assert sorted((i.profile, i.memory_shared) for i in gpu.instances) == [
        ("1c.3g.20gb", True), ("2c.3g.20gb", True), ("2g.10gb", False),
    ]  # fmt: skip
    wish = one.wish(Want("3g.20gb"), exact=True)
    shown = plan_view(one.world, [wish], plans(one.world, [wish]))
    assert sorted((v.profile, v.count) for v in shown.destroy) == [
        ("1c.3g.20gb", 1), ("2c.3g.20gb", 1), ("2g.10gb", 1),
    ]  # fmt: skip


def test_a_drop_of_a_divided_instance_holds_for_what_stood_there(changer: MakeChanger) -> None:
    one = changer("A100-40GB:1c.3g.20gb*3")
    (gi,) = [gi for _, gi in one.world.instances]
    op = one.ask(LayoutTarget(one.gpu, drop=frozenset({(gi, Place(9, 0))})), verb="destroy")
    assert op.result is OpResult.APPLIED
    assert one.standing() == []


@pytest.mark.parametrize("key", ["A30", "A100-40GB", "RTX-PRO-6000"])
def test_a_planned_division_is_one_that_the_card_can_make(changer: MakeChanger, key: str) -> None:
    one, drawn, applied = changer(f"{key}:"), random.Random(key), 0
    shapes = {p.name: p.slice_count for p in one.world.gpus[one.gpu].profiles}
    for _ in range(150):
        wants = []
        for name in drawn.choices(sorted(shapes), k=2):
            size = drawn.choice([1, 2, 4])
            part = name if size >= shapes[name] else f"{size}c.{name}"
            wants.append(Want(part, drawn.randint(1, 3)))
        try:
            op = one.ask(one.wish(*wants, exact=drawn.random() < 0.7))
        except ImpossibleLayout:
            continue
        assert op.result is OpResult.APPLIED, (wants, op.message)
        applied += 1
    assert applied > 10


@pytest.mark.parametrize("stands", ["7g.40gb", "2c.7g.40gb*2/1c.7g.40gb*2"])
def test_a_division_that_the_card_refuses_gives_back_what_stood_there(
    changer: MakeChanger, stands: str
) -> None:
    one = changer(f"A100-40GB:{stands}")
    before = one.reader.inventory().slices
    op = one.ask(one.wish(Want("4c.7g.40gb"), Want("3c.7g.40gb"), exact=True))
    assert op.result is OpResult.FAILED
    assert "INSUFFICIENT_RESOURCES" in (op.message or "")
    assert one.reader.inventory().slices == before
