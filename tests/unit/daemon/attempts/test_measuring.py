"""What attempts use of their slices: sampled, and credited to who ran on them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from launcher.core.model.gpu import Slice
from launcher.core.model.measurement import Measurement
from launcher.daemon.attempts.exit_witness import ExitWitness
from launcher.daemon.attempts.measuring import Measuring, holders_of
from launcher.daemon.machine.slice_samples import ProcessSample, SliceSample
from launcher.host.cgroup_usage import NO_USAGE, CgroupUsage
from tests.support.builders import Machine, mig, profile

A, B = mig(1), mig(2)
SHARED = Slice("MIG-s", "GPU-x", 0, "1c.2g.12gb", 5, 11968, 1, 0)


class Board:
    """Samples as a test sets them, in the place of the sampler."""

    def __init__(self) -> None:
        self.samples: dict[str, SliceSample] = {}
        nothing: Any = None
        sampler: Any = SimpleNamespace(of=lambda uuid: self.samples.get(uuid, SliceSample()))
        self.measuring = Measuring(ExitWitness(blind=True), sampler, nothing, nothing)

    def seen(self, *slices: Slice, **used: int | None) -> None:
        """Sample an attempt's slices: ``a`` and ``b`` are the MiB of the first and the second."""
        values = used.values()
        for each, mib in zip(slices, values, strict=True):
            self.samples[each.uuid] = SliceSample(mib)
        held = {(1, 1): slices}
        self.measuring.note_samples(held, held)

    def peak(self) -> int | None:
        return self.measuring.of_usage(1, 1, NO_USAGE).gpu_memory_peak_mib


def test_the_peak_of_gpu_memory_is_the_highest_sample() -> None:
    board = Board()
    for mib in (100, 900, 300):
        board.seen(A, a=mib)
    assert board.peak() == 900


def test_the_slices_of_one_job_count_together_at_each_moment() -> None:
    board = Board()
    board.seen(A, B, a=100, b=700)
    board.seen(A, B, a=700, b=50)
    assert board.peak() == 800


def test_a_slice_that_tells_nothing_leaves_the_sum_unknown() -> None:
    board = Board()
    board.seen(A, B, a=100, b=None)
    assert board.peak() is None
    board.seen(A, B, a=100, b=100)
    board.seen(A, B, a=900, b=None)
    assert board.peak() == 200


def test_where_devices_share_memory_only_their_own_processes_count() -> None:
    board = Board()
    processes = (ProcessSample(1, 0, 40), ProcessSample(2, 0, 2))
    board.samples[SHARED.uuid] = SliceSample(5000, processes)
    held = {(1, 1): (SHARED,)}
    board.measuring.note_samples(held, held)
    assert board.peak() == 42


def test_a_sample_counts_for_who_ran_before_and_after_it() -> None:
    board = Board()
    board.samples[A.uuid] = SliceSample(500)
    board.measuring.note_samples({(9, 1): (A,)}, {(1, 1): (A,)})
    assert board.peak() is None, "the sample may be of the job before"
    board.measuring.note_samples({(1, 1): (A,)}, {(1, 1): (A,)})
    assert board.peak() == 500


def test_the_samples_of_ended_attempts_are_forgotten() -> None:
    board = Board()
    board.seen(A, a=500)
    board.measuring.note_samples({(1, 1): (A,)}, {})
    assert board.peak() is None
    assert not board.measuring._gpu


def test_the_totals_of_the_cgroup_and_the_samples_are_one_measurement() -> None:
    board = Board()
    board.seen(A, a=500)
    measured = board.measuring.of_usage(1, 1, CgroupUsage(1, 2.0, 3, 4))
    assert measured == Measurement(1, 2.0, 3, 4, gpu_memory_peak_mib=500)


def test_only_running_attempts_with_slices_are_sampled() -> None:
    machine = Machine()
    first, _ = machine.submit(profile(), profile())
    machine.run(first)
    assert list(holders_of(machine.world)) == [(first.id, 1)]
