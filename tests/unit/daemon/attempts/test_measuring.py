"""What attempts use of their slices: sampled, and credited to who ran on them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from launcher.core.model.gpu import Slice
from launcher.core.model.measurement import Measurement
from launcher.daemon.attempts import measuring
from launcher.daemon.attempts.exit_witness import ExitWitness
from launcher.daemon.attempts.measuring import Holders, Measuring, holders_of
from launcher.daemon.machine.slice_samples import ProcessSample, SliceSample
from launcher.gpu import Activity
from launcher.host.cgroup_usage import NO_USAGE, CgroupUsage
from tests.support.builders import Machine, mig, profile

A, B = mig(1), mig(2)
SHARED = Slice("MIG-s", "GPU-x", 0, "1c.2g.12gb", 5, 11968, 1, 0)


class Board:
    """Samples as a test sets them, in the place of the sampler."""

    def __init__(self) -> None:
        self.samples: dict[str, SliceSample] = {}
        self.clock = 0.0
        nothing: Any = None
        sampler: Any = SimpleNamespace(of=lambda uuid: self.samples.get(uuid, SliceSample()))
        self.measuring = Measuring(ExitWitness(blind=True), sampler, nothing, nothing)

    def seen(self, *slices: Slice, **used: int | None) -> None:
        """Sample an attempt's slices: ``a`` and ``b`` are the MiB of the first and the second."""
        values = used.values()
        for each, mib in zip(slices, values, strict=True):
            self.samples[each.uuid] = SliceSample(mib)
        self.note({(1, 1): slices})

    def note(self, now: Holders, before: Holders | None = None, **activity: Activity) -> None:
        """Note samples of attempts that ran ``before`` (by default the same), ``A`` and ``B``."""
        known = {{"A": A, "B": B}[name].uuid: each for name, each in activity.items()}
        self.clock += 5.0
        self.measuring.note_samples(now if before is None else before, now, known, self.clock)

    def activity(self) -> float | None:
        return self.measuring.of_usage(1, 1, NO_USAGE).gpu_activity_percent

    def peak(self) -> int | None:
        return self.measuring.of_usage(1, 1, NO_USAGE).gpu_memory_peak_mib


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    made = Board()
    monkeypatch.setattr(measuring, "time", SimpleNamespace(monotonic=lambda: made.clock))
    return made


def test_the_peak_of_gpu_memory_is_the_highest_sample(board: Board) -> None:
    for mib in (100, 900, 300):
        board.seen(A, a=mib)
    assert board.peak() == 900


def test_the_slices_of_one_job_count_together_at_each_moment(board: Board) -> None:
    board.seen(A, B, a=100, b=700)
    board.seen(A, B, a=700, b=50)
    assert board.peak() == 800


def test_a_slice_that_tells_nothing_leaves_the_sum_unknown(board: Board) -> None:
    board.seen(A, B, a=100, b=None)
    assert board.peak() is None
    board.seen(A, B, a=100, b=100)
    board.seen(A, B, a=900, b=None)
    assert board.peak() == 200


def test_where_devices_share_memory_only_their_own_processes_count(board: Board) -> None:
    processes = (ProcessSample(1, 0, 40), ProcessSample(2, 0, 2))
    board.samples[SHARED.uuid] = SliceSample(5000, processes)
    board.note({(1, 1): (SHARED,)})
    assert board.peak() == 42


def test_a_sample_counts_for_who_ran_before_and_after_it(board: Board) -> None:
    board.samples[A.uuid] = SliceSample(500)
    board.note({(1, 1): (A,)}, before={(9, 1): (A,)})
    assert board.peak() is None, "the sample may be of the job before"
    board.note({(1, 1): (A,)})
    assert board.peak() == 500


def test_the_samples_of_ended_attempts_are_forgotten(board: Board) -> None:
    board.seen(A, a=500)
    board.note({}, before={(1, 1): (A,)})
    assert board.peak() is None
    assert not board.measuring._gpu


def test_the_totals_of_the_cgroup_and_the_samples_are_one_measurement(board: Board) -> None:
    board.seen(A, a=500)
    measured = board.measuring.of_usage(1, 1, CgroupUsage(1, 2.0, 3, 4))
    assert measured == Measurement(1, 2.0, 3, 4, gpu_memory_peak_mib=500)


def test_only_running_attempts_with_slices_are_sampled() -> None:
    machine = Machine()
    first, _ = machine.submit(profile(), profile())
    machine.run(first)
    assert list(holders_of(machine.world)) == [(first.id, 1)]


ALONE: Holders = {(1, 1): (A,)}
BOTH: Holders = {(1, 1): (A, B)}


def test_the_activity_is_the_mean_over_the_time_for_which_it_is_known(board: Board) -> None:
    board.note(ALONE)
    assert board.activity() is None
    board.note(ALONE, A=Activity(100.0, 5.0))
    board.note(ALONE)
    board.note(ALONE, A=Activity(0.0, 10.0))
    assert board.activity() == 33.3


def test_the_activity_of_several_slices_is_their_mean(board: Board) -> None:
    board.note(BOTH)
    board.note(BOTH, A=Activity(100.0, 5.0), B=Activity(20.0, 5.0))
    assert board.activity() == 60.0
    board.note(BOTH, A=Activity(100.0, 5.0))
    assert board.activity() == 60.0, "nothing is known of the other"


def test_what_a_slice_did_before_an_attempt_is_not_its_activity(board: Board) -> None:
    board.note(ALONE, A=Activity(100.0, 5.0))
    assert board.activity() is None
    board.note(ALONE, A=Activity(100.0, 7.5))
    assert board.activity() is None, "the sample before is older than the attempt"
    board.note(ALONE, A=Activity(40.0, 5.0))
    assert board.activity() == 40.0
