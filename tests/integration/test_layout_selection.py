"""Which GPUs a layout request means: the only one, several, all, filters, and none at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.core.mig.layout_requests import plans
from launcher.core.model.layout_change import LayoutTarget, OpResult
from launcher.daemon.api.handlers.layout_requests import target_layouts
from launcher.daemon.api.views.layout_views import plan_view
from launcher.errors import StaleRequest, UserError
from launcher.wire import LayoutEntry, LayoutPlan, LayoutRequest, LayoutSpec
from tests.support.carving import Changer, MakeChanger, changer
from tests.support.machines import build_directory, make_machine

__all__ = ["build_directory", "changer", "make_machine"]

ONE = [LayoutSpec(profile="1g.6gb")]
A30, T4 = "0x20B710DE", "0x1EB810DE"


def targets(one: Changer, *entries: LayoutEntry, verb: str = "apply") -> tuple[LayoutTarget, ...]:
    return target_layouts(one.world, LayoutRequest(verb=verb, request="", entries=[*entries]))


def indexes(one: Changer, *entries: LayoutEntry, verb: str = "apply") -> list[int]:
    return [one.world.gpus[w.gpu_uuid].index for w in targets(one, *entries, verb=verb)]


def file_entry(
    gpus: list[str], *models: str, mode: bool = True, specs: list[LayoutSpec] | None = None
) -> LayoutEntry:
    """An entry of a mig-parted file."""
    return LayoutEntry(
        gpus=gpus, models=[*models], specs=specs or ([] if mode else None), mode=mode, matches=True
    )


def planned(one: Changer, *entries: LayoutEntry) -> LayoutPlan:
    wishes = targets(one, *entries)
    return plan_view(one.world, wishes, plans(one.world, wishes))


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (A30, [0, 2]),
        ("0x20b710de", [0, 2]),
        (f"{A30}:0x153210DE", [0, 2]),
        (f"{A30}:0x153310DE", []),
        ("0x20B010DE:0x134F10DE", [1]),
    ],
)
def test_a_filter_selects_by_device_and_if_given_by_subsystem(
    changer: MakeChanger, model: str, found: list[int]
) -> None:
    one = changer("A30,A100-40GB,A30")
    entries = [file_entry([], model), file_entry([], "0x233010DE")]
    if found:
        assert indexes(one, *entries) == found
        assert indexes(one, file_entry([str(found[0]), "9"], model)) == found[:1]
        return
    with pytest.raises(UserError, match="no GPU here matches"):
        targets(one, *entries)


def test_a_request_that_matches_no_gpu_says_what_it_is_for_and_what_is_here(
    changer: MakeChanger,
) -> None:
    one = changer("T4,A30")
    with pytest.raises(UserError) as caught:
        targets(one, file_entry([], "0x20B010DE", "0x20B210DE"), file_entry(["7"], mode=False))
    said = str(caught.value)
    assert "devices all with PCI id 0x20B010DE, 0x20B210DE; devices 7" in said
    assert "0 (Tesla T4, PCI id 0x1EB810DE:0x12A210DE)" in said
    assert "1 (NVIDIA A30, PCI id 0x20B710DE:0x153210DE)" in said
    many = [file_entry([str(number)], mode=False) for number in range(10, 40)]
    with pytest.raises(UserError, match="devices 21; and 18 more"):
        targets(one, *many)


def test_the_last_entry_of_a_file_for_a_gpu_wins(changer: MakeChanger) -> None:
    one = changer("A30,A30")
    first, last = targets(
        one,
        file_entry([], specs=ONE),
        file_entry(["1"], mode=False),
        file_entry(["7"], mode=False),
    )
    assert (first.mode, last.mode) == (True, False)


def test_gpus_named_on_the_command_line_twice_are_meant_once_and_two_entries_are_refused(
    changer: MakeChanger,
) -> None:
    one = changer("A30:,A30:")
    uuid = one.machine.gpu_uuids()[1]
    assert indexes(one, LayoutEntry(gpus=["1", "0", uuid], specs=ONE)) == [1, 0]
    with pytest.raises(UserError, match="more than one entry"):
        targets(one, LayoutEntry(gpus=["1"], specs=ONE), LayoutEntry(gpus=[uuid], specs=ONE))


def test_a_gpu_that_cannot_do_mig_is_skipped_or_refused_as_mig_parted_does_it(
    changer: MakeChanger,
) -> None:
    one = changer("T4,A30")
    assert indexes(one, file_entry([])) == [1], "all: skipped"
    assert indexes(one, file_entry(["0"], mode=False)) == [], "off: nothing to do"
    assert indexes(one, file_entry([], T4, mode=False)) == []
    with pytest.raises(UserError, match=r"GPU 0 \(Tesla T4\) does not support MIG"):
        targets(one, file_entry(["0", "1"]))
    with pytest.raises(UserError, match="none of the selected GPUs supports MIG"):
        targets(one, file_entry([], T4))


@pytest.mark.parametrize("gpus", [None, []])
def test_without_a_gpu_for_mig_every_verb_says_so_and_clear_has_nothing_to_do(
    changer: MakeChanger, gpus: list[str] | None
) -> None:
    one = changer("T4,T4")
    for entry in (LayoutEntry(gpus=gpus, specs=ONE), LayoutEntry(gpus=gpus, mode=True),
                  LayoutEntry(gpus=gpus, mode=False)):  # fmt: skip
        with pytest.raises(UserError, match=r"none of the GPUs here supports MIG: 0 \(Tesla T4"):
            targets(one, entry)
    clear = LayoutEntry(gpus=gpus, specs=[], exact=True, mode=False)
    assert targets(one, clear, verb="clear") == ()
    assert one.ask(verb="clear").result is OpResult.APPLIED


def test_a_request_without_entries_is_refused_unless_a_saved_layout_needs_no_change(
    changer: MakeChanger,
) -> None:
    one = changer("A30")
    with pytest.raises(UserError, match="no entries"):
        targets(one)
    assert targets(one, verb="restore") == ()


@pytest.mark.parametrize("gpus", [None, []])
def test_while_the_gpus_are_unknown_not_even_clear_succeeds(
    changer: MakeChanger, gpus: list[str] | None
) -> None:
    one = changer("T4")
    one.world.gpus.clear()
    clear = LayoutEntry(gpus=gpus, specs=[], exact=True)
    with pytest.raises(UserError, match="no GPU"):
        targets(one, clear, verb="clear")
    one.world.gpu_down = "the driver is not loaded"
    with pytest.raises(StaleRequest, match="unknown: the driver is not loaded"):
        targets(one, clear, verb="clear")
    with pytest.raises(StaleRequest, match="unknown: the driver is not loaded"):
        targets(one, file_entry([], mode=False))


def test_a_gpu_whose_mode_waits_for_a_reboot_is_meant_and_it_is_said(changer: MakeChanger) -> None:
    one = changer("A30,A30")
    one.machine.set_reset_works(one.gpu, works=False)
    one.ask(LayoutTarget(one.gpu, mode=True))
    for gpus in (None, ["0"]):
        with pytest.raises(UserError, match=r"GPU 0 .*takes effect after a reset .*or a reboot"):
            targets(one, LayoutEntry(gpus=gpus, specs=ONE))
    assert indexes(one, LayoutEntry(mode=False)) == [0], "disable takes it back"
    assert indexes(one, LayoutEntry(specs=[], exact=True), verb="clear") == [0]
    assert planned(one, LayoutEntry(gpus=["0"], specs=ONE, mode=True)).modes == {one.gpu: True}
    assert planned(one, LayoutEntry(gpus=["0"], mode=False)).modes == {one.gpu: False}


def test_a_mode_that_goes_off_at_the_next_reboot_is_a_difference(changer: MakeChanger) -> None:
    one = changer("A30:1g.6gb")
    one.world.gpus[one.gpu] = replace(one.world.gpus[one.gpu], mig_pending=False)
    assert planned(one, LayoutEntry(specs=ONE, exact=True, mode=True)).modes == {one.gpu: True}


def test_which_gpu_is_asked_only_where_several_can_be_meant(changer: MakeChanger) -> None:
    one = changer("A30:,A30,T4")
    assert indexes(one, LayoutEntry(specs=ONE)) == [0]
    assert indexes(one, LayoutEntry(mode=False)) == [0]
    with pytest.raises(UserError, match="2 GPUs support MIG: select with --gpu N or --all"):
        targets(one, LayoutEntry(mode=True))
    assert indexes(one, LayoutEntry(gpus=[], mode=True)) == [0, 1]
