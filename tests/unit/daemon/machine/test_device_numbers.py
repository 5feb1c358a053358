"""What a number such as ``0:1`` meant when a container was started with it, if that is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.core.model.gpu import Inventory, Slice
from launcher.daemon.loop import clock
from launcher.daemon.machine.device_numbers import (
    LONGEST_GAP_S,
    DeviceNumbers,
    identity,
    layouts_of,
    number_of,
)
from tests.support.builders import a30, mig

START, OTHER = "container-a at 10:00", "container-b at 10:01"
FIRST, SECOND = mig(0), mig(1)


def shown(*slices: Slice, indexes: tuple[int, ...] = (0, 1, 2)) -> Inventory:
    pairs = tuple((s.uuid, index) for s, index in zip(slices, indexes, strict=False))
    return Inventory("580", (a30(),), slices, indexes=pairs)


BOTH = shown(FIRST, SECOND)


def look(
    numbers: DeviceNumbers,
    *starts: str,
    before: Inventory = BOTH,
    after: Inventory | None = None,
    number: tuple[int, int] = (0, 1),
) -> bool:
    """Look once: these starts were given a number; NVML shows the layout before and after."""
    given = {start: [number] for start in starts}
    return numbers.look(before, given, lambda: before if after is None else after)


def test_a_start_between_two_looks_at_one_layout_meant_what_stands_there() -> None:
    numbers = DeviceNumbers()
    assert not look(numbers)
    assert look(numbers, START)
    assert numbers.meant(START, (0, 1)) == identity(SECOND)
    assert numbers.meant(START, (0, 0)) is None
    assert numbers.meant(OTHER, (0, 1)) is None


def test_of_a_start_before_the_first_look_nothing_is_known() -> None:
    numbers = DeviceNumbers()
    look(numbers, START)
    assert not look(numbers, START)
    assert numbers.meant(START, (0, 1)) is None


@pytest.mark.parametrize("moved", ["before", "after", "by us", "failed"])
def test_where_the_layout_may_have_changed_meanwhile_nothing_is_known(moved: str) -> None:
    numbers, other = DeviceNumbers(), shown(SECOND, FIRST)
    look(numbers, before=other if moved == "before" else BOTH)
    if moved == "by us":
        numbers.moved()
    if moved == "failed":
        numbers.forget_last()
    assert not look(numbers, START, after=other if moved == "after" else BOTH)
    assert numbers.meant(START, (0, 1)) is None


def test_looks_that_are_too_far_apart_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    numbers = DeviceNumbers()
    look(numbers)
    now = replace(now, boot=now.boot + LONGEST_GAP_S + 1)
    assert not look(numbers, START)


def test_a_meaning_outlives_a_change_of_the_layout_and_ends_with_its_container() -> None:
    numbers = DeviceNumbers()
    look(numbers)
    look(numbers, START)
    look(numbers, START, before=shown(SECOND, FIRST))
    assert numbers.meant(START, (0, 1)) == identity(SECOND)
    look(numbers)
    assert numbers.meant(START, (0, 1)) is None


def test_nvml_is_read_again_only_if_there_is_something_to_learn() -> None:
    numbers = DeviceNumbers()

    def read() -> Inventory:
        raise AssertionError("not needed")

    for _ in range(2):
        assert not numbers.look(BOTH, {}, read)


def test_where_indexes_have_gaps_a_number_may_mean_either() -> None:
    numbers, gaps = DeviceNumbers(), shown(FIRST, SECOND, mig(2), indexes=(0, 2, 3))
    look(numbers, before=gaps)
    look(numbers, START, before=gaps, number=(0, 2))
    assert numbers.meant(START, (0, 2)) == identity(SECOND) | identity(mig(2))


def test_a_gpu_that_does_not_answer_has_no_known_layout() -> None:
    silent = replace(BOTH, silent=(("GPU-a", "it does not answer"),))
    assert set(layouts_of(BOTH)) == {0}
    assert layouts_of(silent) == {}


def test_meanings_are_stored_and_recalled() -> None:
    numbers, next_daemon = DeviceNumbers(), DeviceNumbers()
    look(numbers)
    look(numbers, START)
    next_daemon.recall(numbers.text())
    assert next_daemon.meant(START, (0, 1)) == identity(SECOND)


@pytest.mark.parametrize("text", [None, "", "{", "5", '{"a": 1}', "[[1]]", '[["a", [[0]]]]'])
def test_what_cannot_be_recalled_is_forgotten(text: str | None) -> None:
    numbers = DeviceNumbers()
    numbers.recall(text)
    assert numbers.text() == "[]"


@pytest.mark.parametrize(
    ("name", "number"),
    [("0:1", (0, 1)), ("mig0:1", (0, 1)), ("1", None), ("GPU-a", None), ("0:1:2", None)],
)
def test_a_number_is_two_indexes(name: str, number: tuple[int, int] | None) -> None:
    assert number_of(name) == number
