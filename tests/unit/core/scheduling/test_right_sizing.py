"""Advice on jobs that request more than they use: what is said, and when nothing is said."""

from __future__ import annotations

import dataclasses

import pytest

from launcher.core.model.gpu import Profile
from launcher.core.model.job import Outcome
from launcher.core.model.measurement import PastRun
from launcher.core.scheduling.right_sizing import (
    IDLE_MIB,
    IDLE_SECONDS,
    LIMIT_SECONDS,
    MOST_ADVICE,
    AdviceKind,
    advise,
    sizes_of,
    with_margin,
)
from tests.support.builders import a30

SIZES = sizes_of([a30()])
SMALL, LARGE = 5952, 11968
HOUR = 3600.0


def run(name: str = "train", *, user: str = "alice", **more: object) -> PastRun:
    """A completed job of an hour on one 2g.12gb."""
    facts: dict[str, object] = {
        "outcome": Outcome.COMPLETED,
        "seconds": HOUR,
        "slices": 1,
        "profile": "2g.12gb",
        "memory_mib": LARGE,
    }
    return PastRun(1, user, name, **facts | more)  # type: ignore[arg-type]


def kinds(*runs: PastRun) -> list[AdviceKind]:
    return [each.kind for each in advise(runs, SIZES)]


def test_jobs_that_would_all_have_fit_a_smaller_slice_are_told_which() -> None:
    peaks = (900, 3174, 12)
    (advice,) = advise([run(gpu_memory_peak_mib=peak) for peak in peaks], SIZES)
    assert advice.kind is AdviceKind.SMALLER_SLICE
    assert (advice.smaller, advice.profile) == ("1g.6gb", "2g.12gb")
    assert (advice.peak_mib, advice.memory_mib, advice.runs) == (3174, LARGE, 3)


def test_the_margin_belongs_to_the_peak() -> None:
    fits = max(mib for mib in range(SMALL) if with_margin(mib) <= SMALL)
    assert kinds(run(gpu_memory_peak_mib=fits)) == [AdviceKind.SMALLER_SLICE]
    assert kinds(run(gpu_memory_peak_mib=fits + 1)) == []


def test_one_larger_peak_is_enough_to_advise_nothing() -> None:
    assert kinds(run(gpu_memory_peak_mib=500), run(gpu_memory_peak_mib=9000)) == []


def test_a_job_on_the_smallest_slice_is_advised_nothing() -> None:
    small = run(profile="1g.6gb", memory_mib=SMALL, gpu_memory_peak_mib=500)
    assert kinds(small) == []
    assert kinds(small, run(gpu_memory_peak_mib=500)) == [], "the last job tells what is asked now"


def test_what_was_not_measured_is_not_taken_for_nothing() -> None:
    assert kinds(run(), run()) == []
    (advice,) = advise([run(), run(gpu_memory_peak_mib=500)], SIZES)
    assert advice.runs == 1, "only a job with a known peak shows it"


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.COMPLETED])
def test_a_job_that_did_not_complete_does_not_tell_how_much_one_needs(outcome: Outcome) -> None:
    assert kinds(run(outcome=outcome, gpu_memory_peak_mib=500)) == []


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.COMPLETED])
def test_a_job_that_did_not_complete_needed_at_least_what_it_used(outcome: Outcome) -> None:
    ended = run(outcome=outcome, gpu_memory_peak_mib=9000)
    assert kinds(run(gpu_memory_peak_mib=500), ended) == []


def test_jobs_with_several_slices_do_not_tell_what_one_needs() -> None:
    assert kinds(run(slices=2, memory_mib=2 * LARGE, gpu_memory_peak_mib=500)) == []


def test_a_busy_job_is_not_sent_to_a_slice_that_would_slow_it() -> None:
    assert kinds(run(gpu_memory_peak_mib=500, gpu_activity_percent=80.0)) == []
    calm = run(gpu_memory_peak_mib=500, gpu_activity_percent=40.0)
    assert kinds(calm) == [AdviceKind.SMALLER_SLICE]


def test_jobs_that_never_used_their_gpu_are_told_so_and_not_to_take_a_smaller_one() -> None:
    idle = run(gpu_activity_percent=0.4, gpu_memory_peak_mib=3000)
    (advice,) = advise([idle, idle], SIZES)
    assert (advice.kind, advice.runs, advice.percent) == (AdviceKind.IDLE_GPU, 2, 0.4)


def test_where_no_activity_is_known_almost_no_memory_means_idle() -> None:
    assert kinds(run(gpu_memory_peak_mib=IDLE_MIB - 1)) == [AdviceKind.IDLE_GPU]
    assert kinds(run(gpu_memory_peak_mib=IDLE_MIB)) == [AdviceKind.SMALLER_SLICE]
    busy = run(gpu_memory_peak_mib=20, gpu_activity_percent=30.0)
    assert kinds(busy) == [AdviceKind.SMALLER_SLICE]


def test_one_job_that_used_the_gpu_is_enough_not_to_call_the_others_idle() -> None:
    idle, busy = run(gpu_activity_percent=0.4), run(gpu_activity_percent=50.0)
    assert kinds(idle, busy) == []


def test_a_short_job_that_used_the_gpu_tells_so_too() -> None:
    idle = run(gpu_activity_percent=0.4, gpu_memory_peak_mib=9000)
    assert kinds(idle, run(gpu_activity_percent=50.0, seconds=IDLE_SECONDS - 1)) == []


def test_a_short_job_is_not_called_idle() -> None:
    assert kinds(run(gpu_activity_percent=0.0, seconds=IDLE_SECONDS - 1)) == []


def test_a_time_limit_far_above_the_longest_run_is_told_with_a_shorter_one() -> None:
    runs = [run(seconds=seconds, time_limit=24 * HOUR) for seconds in (600.0, 2400.0)]
    (advice,) = advise(runs, SIZES)
    assert advice.kind is AdviceKind.SHORTER_LIMIT
    assert (advice.longest, advice.limit, advice.shorter) == (2400.0, 24 * HOUR, 4800.0)


def test_a_time_limit_is_long_if_it_is_four_times_the_run_and_an_hour_more() -> None:
    assert kinds(run(seconds=1800.0, time_limit=1800.0 + LIMIT_SECONDS - 1)) == []
    assert kinds(run(seconds=3000.0, time_limit=4 * 3000.0 - 1)) == []
    assert kinds(run(seconds=3000.0, time_limit=4 * 3000.0)) == [AdviceKind.SHORTER_LIMIT]
    assert kinds(run(seconds=60.0, time_limit=None)) == []


def test_a_suggested_limit_is_never_less_than_a_whole_step() -> None:
    (advice,) = advise([run(seconds=0.0, time_limit=24 * HOUR)], SIZES)
    assert advice.shorter == 300.0


def test_jobs_that_never_completed_do_not_tell_how_long_they_need() -> None:
    assert kinds(run(outcome=Outcome.FAILED, seconds=5.0, time_limit=24 * HOUR)) == []


def test_users_and_names_are_advised_apart_in_their_order() -> None:
    runs = [
        run(name, user=user, gpu_memory_peak_mib=500)
        for user in ("bob", "alice")
        for name in ("b", "a")
    ]
    found = [(each.user, each.name) for each in advise(runs, SIZES)]
    assert found == [("alice", "a"), ("alice", "b"), ("bob", "a"), ("bob", "b")]


def test_advice_has_a_bound() -> None:
    runs = [run(f"job-{n}", gpu_memory_peak_mib=500) for n in range(MOST_ADVICE + 5)]
    assert len(advise(runs, SIZES)) == MOST_ADVICE


def test_of_profiles_of_one_size_the_plain_one_is_advised() -> None:
    media, plain = Profile(21, "1g.6gb+me", SMALL, 1, 1), Profile(14, "1g.6gb", SMALL, 1, 4)
    sizes = sizes_of([dataclasses.replace(a30(), profiles=(media, plain))])
    (advice,) = advise([run(gpu_memory_peak_mib=500)], sizes)
    assert advice.smaller == "1g.6gb"


def test_without_a_known_profile_only_the_rest_is_advised() -> None:
    runs = [run(gpu_memory_peak_mib=500, time_limit=100 * HOUR)]
    assert [each.kind for each in advise(runs, [])] == [AdviceKind.SHORTER_LIMIT]
