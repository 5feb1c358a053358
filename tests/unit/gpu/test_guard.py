"""A call that never returns delays only the readers of its GPU, and those not for long."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from launcher.errors import GpuFault, GpuSilent
from launcher.gpu.calls import asking
from launcher.gpu.guard import Guard
from tests.support.wait import wait_until

SECONDS = 0.5
LONG = 60.0


@pytest.fixture
def guard() -> Iterator[Guard]:
    made = Guard(SECONDS)
    yield made
    made.close()


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """An event that a call waits for; it is set in the end, so that its thread ends."""
    event = threading.Event()
    yield event
    event.set()


def test_a_read_returns_its_value_or_raises_its_error(guard: Guard) -> None:
    def fails() -> None:
        raise GpuFault("broken")

    assert guard.run("GPU 0", lambda: 7) == 7
    with pytest.raises(GpuFault, match="broken"):
        guard.run("GPU 0", fails)
    assert guard.run("GPU 0", lambda: 8) == 8


def test_reads_of_one_gpu_come_one_after_the_other(guard: Guard) -> None:
    order: list[int] = []
    pending = [guard.submit("GPU 0", lambda n=n: order.append(n)) for n in range(5)]
    for one in pending:
        one.end()
    assert order == list(range(5))


def test_a_read_that_hangs_is_given_up_and_named(guard: Guard, hang: threading.Event) -> None:
    with pytest.raises(GpuSilent, match=r"does not answer for GPU 0 since .*Z: a call has not"):
        guard.run("GPU 0", lambda: hang.wait(LONG))


def test_a_read_that_hangs_is_not_named_for_the_call_of_an_earlier_one(
    guard: Guard, hang: threading.Event
) -> None:
    guard.run("GPU 0", lambda: asking.record_call("nvmlInit"))
    with pytest.raises(GpuSilent, match="a call has not returned"):
        guard.run("GPU 0", lambda: hang.wait(LONG))


def test_while_it_hangs_others_of_that_gpu_are_refused_at_once_and_other_gpus_answer(
    guard: Guard, hang: threading.Event
) -> None:
    asked: list[int] = []
    with pytest.raises(GpuSilent):
        guard.run("GPU 0", lambda: hang.wait(LONG))
    refused = guard.submit("GPU 0", lambda: asked.append(1))
    with pytest.raises(GpuSilent):
        refused.end()
    with pytest.raises(GpuSilent):
        guard.check()
    assert guard.run("GPU 1", lambda: 7) == 7
    assert asked == []


def test_once_it_returns_the_gpu_answers_again_and_what_was_given_up_is_not_done(
    guard: Guard, hang: threading.Event
) -> None:
    asked: list[int] = []
    guard.submit("GPU 0", lambda: hang.wait(LONG))
    behind = guard.submit("GPU 0", lambda: asked.append(1))
    with pytest.raises(GpuSilent):
        behind.end()
    hang.set()

    def answers() -> bool:
        with contextlib.suppress(GpuSilent):
            return guard.run("GPU 0", lambda: 7) == 7
        return False

    wait_until(answers, what="the GPU answers")
    assert asked == []


def test_who_has_less_patience_is_told_that_nvml_is_busy(hang: threading.Event) -> None:
    guard = Guard(LONG)
    with pytest.raises(GpuSilent, match="NVML is busy for GPU 0"):
        guard.run("GPU 0", lambda: hang.wait(LONG), patience=0.01)
    guard.check()
    guard.close()


def test_a_guard_that_was_closed_can_be_used_again(guard: Guard) -> None:
    assert guard.run("GPU 0", lambda: 7) == 7
    guard.close()
    assert guard.run("GPU 0", lambda: 8) == 8
