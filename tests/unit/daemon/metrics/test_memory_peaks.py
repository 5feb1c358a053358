"""The most memory of a slice belongs to one attempt, and stays until the next one."""

from __future__ import annotations

from launcher.core.model.slice_state import SliceState
from launcher.daemon.metrics.memory_peaks import MemoryPeaks
from tests.support.builders import mig
from tests.unit.store.worlds import lease_of, starting

SLICE = mig(0)


def state(job: int | None, attempt: int = 1) -> SliceState:
    return SliceState(SLICE, None if job is None else lease_of(starting(job, attempt=attempt)))


def seen(peaks: MemoryPeaks, where: SliceState, used: int | None) -> int | None:
    peaks.sampled([where], lambda uuid: used)
    return peaks.of(where)


def test_the_peak_is_the_greatest_sample_of_the_attempt() -> None:
    peaks = MemoryPeaks()
    assert [seen(peaks, state(1), used) for used in (10, 500, None, 20)] == [10, 500, 500, 500]


def test_it_stays_after_the_end_and_begins_anew_with_the_next_attempt() -> None:
    peaks = MemoryPeaks()
    seen(peaks, state(1), 500)
    assert seen(peaks, state(None), 900) == 500, "memory of nobody's job"
    assert seen(peaks, state(1, attempt=2), 30) == 30
    assert seen(peaks, state(7), 40) == 40


def test_a_slice_without_a_job_has_none_and_one_that_is_gone_is_forgotten() -> None:
    peaks = MemoryPeaks()
    assert seen(peaks, state(None), 100) is None
    seen(peaks, state(1), 100)
    peaks.sampled([], lambda uuid: None)
    assert peaks.of(state(1)) is None


def test_the_peak_of_an_earlier_job_is_not_shown_for_the_next_one() -> None:
    peaks = MemoryPeaks()
    seen(peaks, state(1), 500)
    assert peaks.of(state(2)) is None
    assert peaks.of(state(None)) == 500
