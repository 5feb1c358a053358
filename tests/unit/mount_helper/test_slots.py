"""Slots of openings: a few for each user, given back by the kernel."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from launcher.errors import PinRefused
from launcher.mount_helper.slots import Slot, Slots
from launcher.mount_helper.values import MOST_ID
from launcher.mount_helper.values import MOST_OPENINGS as MOST


def held_by_a_child(slots: Slots, uid: int, before: Callable[[Slot], None]) -> int:
    """Take a slot that a child keeps; returns the child."""
    with slots.taken(uid, 0) as slot:
        before(slot)
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
    return child


@pytest.mark.parametrize("uid", [0, 1000, MOST_ID])
def test_a_user_has_so_many_and_others_have_their_own(uid: int) -> None:
    slots = Slots()
    with ExitStack() as held:
        for _ in range(MOST):
            held.enter_context(slots.taken(uid, 0))
        with pytest.raises(PinRefused, match=f"uid {uid} "), slots.taken(uid, 0.05):
            pass
        for other in {0, 999, 1000, 1001, MOST_ID} - {uid}:
            with slots.taken(other, 0):
                pass
    with slots.taken(uid, 0):
        pass


def test_a_slot_is_the_childs_until_it_ends_however_that_is() -> None:
    slots = Slots()
    children = [held_by_a_child(slots, 7, lambda slot: None) for _ in range(MOST)]
    with pytest.raises(PinRefused), slots.taken(7, 0.05):
        pass
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with slots.taken(7, 0):
        pass


def test_it_is_waited_for_a_slot_unless_all_of_them_hang() -> None:
    slots = Slots()
    with ExitStack() as held, ThreadPoolExecutor(1) as threads:
        taken = [held.enter_context(slots.taken(7, 0)) for _ in range(MOST)]

        def wait() -> None:
            with slots.taken(7, 60):
                pass

        waiting = threads.submit(wait)
        for slot in taken:
            assert not waiting.done()
            slot.hangs()
        with pytest.raises(PinRefused, match="still do not answer"):
            waiting.result(30)
    with slots.taken(7, 0):
        pass
