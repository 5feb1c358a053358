"""What lives long is looked through once by the collector; garbage goes all the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from launcher.daemon import garbage


class Thing:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_in_a_daemon() -> Iterator[None]:
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(garbage.YOUNG, 10, garbage.NEVER)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_a_little_garbage_is_collected() -> None:
    gone = weakref.ref(Thing())
    kept = [[number] for number in range((garbage.FEW + 4) * 11 * garbage.YOUNG)]
    garbage.step()
    assert gone() is None
    assert kept


def test_a_hundred_thousand_new_jobs_are_looked_through_by_no_later_collection() -> None:
    before = gc.get_freeze_count()
    kept = [[number] for number in range((garbage.MANY + 4) * 11 * garbage.YOUNG)]
    garbage.step()
    assert gc.get_freeze_count() - before >= len(kept)
    assert len(gc.get_objects()) < 1000
