"""Every configuration of NVIDIA mig-parted's own files, on every stand-in board.

Each is applied for real, with MIG mode off and on before, and compared with what mig-parted does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.core.model.layout_change import LayoutTarget, OpResult
from launcher.daemon.api.handlers.layout_requests import target_layouts
from launcher.errors import UserError
from launcher.fakegpu.boards import boards
from launcher.jobfile.layouts.layout_file import load
from launcher.wire import LayoutEntry, LayoutRequest
from tests.support.carving import Changer, MakeChanger, changer
from tests.support.machines import build_directory, make_machine
from tests.support.mig_parted_rules import Verdict, configurations, texts, verdict, wanted
from tests.support.whole import many

__all__ = ["build_directory", "changer", "make_machine"]

FILES = texts()
CASES = [
    (file, name, entries)
    for file, text in FILES.items()
    for name, entries in configurations(text).items()
]
REFUSED = many(some=5, whole=1)
"""Of the configurations that a board refuses, which are most, each so-manieth is tried."""


def outcome(one: Changer, entries: list[LayoutEntry]) -> tuple[Verdict, str]:
    """Apply the entries; return what became of it, and the text of a refusal."""
    try:
        op = one.ask(*target_layouts(one.world, asking(entries)))
    except UserError as error:
        if "no GPU here matches" in error.message:
            return Verdict.NO_MATCH, str(error)
        skipped = "none of the selected GPUs supports MIG" in error.message
        return Verdict.SKIPPED if skipped else Verdict.REFUSED, str(error)
    if op.result is OpResult.APPLIED:
        return Verdict.APPLIED, ""
    return Verdict.REFUSED, op.message or ""


def prepare(one: Changer, *, mode: bool) -> None:
    """Remove everything, and set MIG mode."""
    one.ask(LayoutTarget(one.gpu, (), exact=True))
    one.ask(LayoutTarget(one.gpu, mode=mode))


def standing(one: Changer) -> Counter[str]:
    return Counter(profile for profile, _, _ in one.standing())


@pytest.mark.parametrize(
    ("key", "mode"),
    [(key, mode) for key, board in boards().items() for mode in {False, bool(board.profiles)}],
)
def test_each_configuration_on_each_board_is_applied_or_refused_as_mig_parted_does_it(
    key: str, mode: bool, changer: MakeChanger, tmp_path: Path, count: Callable[[str, int], None]
) -> None:
    board = boards()[key]
    one, as_before = changer(key), False
    for number, (file, name, entries) in enumerate(CASES):
        expected = verdict(entries, board)
        if expected is not Verdict.APPLIED and (number + len(key)) % REFUSED:
            continue
        path = tmp_path / file
        path.write_text(FILES[file])
        if board.profiles and not as_before:
            prepare(one, mode=mode)
        result, text = outcome(one, load(str(path), name, exact=True))
        as_before = result is not Verdict.APPLIED
        assert result is expected, (file, name, text)
        if result is Verdict.APPLIED:
            assert standing(one) == wanted(entries, board), (file, name)
        else:
            assert "GPU" in text, (file, name, text)
            assert not standing(one)
            assert bool(one.world.gpus[one.gpu].mig_current) is mode, (file, name)
        count(f"mig-parted's configurations on stand-in boards, {result.value}", 1)


@pytest.mark.parametrize("key", ["A30", "A100-40GB", "A100-80GB", "H100-80GB"])
def test_without_exact_and_with_mig_mode_off_a_file_is_applied(
    key: str, changer: MakeChanger, tmp_path: Path
) -> None:
    one = changer(key)
    for name in ("all-enabled", "all-balanced"):
        path = tmp_path / "config.yaml"
        path.write_text(FILES["config-default.yaml"])
        prepare(one, mode=False)
        assert outcome(one, load(str(path), name, exact=False)) == (Verdict.APPLIED, "")
        entries = configurations(FILES["config-default.yaml"])[name]
        assert standing(one) == wanted(entries, boards()[key])
        assert one.world.gpus[one.gpu].mig_current


@pytest.mark.parametrize(
    ("count_of", "stands"),
    [(3, [("3g.20gb", 3)]), (4, [("3g.20gb", 1), ("3g.20gb", 3)]), (7, None)],
)
def test_compute_instances_fill_one_gpu_instance_and_then_another_as_in_mig_parted(
    count_of: int, stands: list[tuple[str, int]] | None, changer: MakeChanger, tmp_path: Path
) -> None:
    one = changer("A100-40GB")
    path = tmp_path / "config.json"
    entry = {"devices": "all", "mig-enabled": True, "mig-devices": {"1c.3g.20gb": count_of}}
    path.write_text(json.dumps({"version": "v1", "mig-configs": {"a": [entry]}}))
    result, text = outcome(one, load(str(path), "a", exact=True))
    if stands is None:
        assert result is Verdict.REFUSED
        assert "1c.3g.20gb:7 do not fit together" in text
        return
    assert sorted((profile, n) for profile, _, n in one.standing()) == stands
    assert not one.ask(*target_layouts(one.world, asking(load(str(path), "a", exact=True)))).done


def asking(entries: list[LayoutEntry]) -> LayoutRequest:
    return LayoutRequest(verb="apply", request="-f", entries=entries)
